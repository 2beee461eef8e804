// Upload queue: one row for each file, three uploads at once, each followed until it is indexed.

const AT_ONCE = 3;
const ASK_AT_ONCE = 15; // 15 of the longest names fit into a request line, which gunicorn limits to 4,094 bytes
const SOON_MS = 300;
const LATER_MS = 3000;
const CUT = "The connection was lost, or the file can no longer be read. The partial upload was discarded. Try again.";

class UploadQueue extends HTMLElement {
  waiting = [];
  sending = new Set();
  published = []; // only those not indexed yet
  rows = [];
  delay = SOON_MS;

  connectedCallback() {
    this.form = this.querySelector("form");
    this.input = this.form.elements.file;
    this.input.multiple = true;
    this.input.addEventListener("change", () => this.takeChosen());
    // Accept drops anywhere on the page: a file dropped beside the zone would replace the page and abort running uploads.
    document.addEventListener("dragover", (event) => this.drag(event, true));
    document.addEventListener("dragleave", (event) => event.relatedTarget || this.drag(event, false));
    document.addEventListener("drop", (event) => this.drop(event));
    // Browsers slow down the timers of a hidden tab. Ask immediately when it becomes visible again.
    document.addEventListener("visibilitychange", () => document.hidden || this.ask());
    this.takeChosen();
  }

  drag(event, isOver) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    this.form.classList.toggle("over", isOver);
  }

  drop(event) {
    this.drag(event, false);
    this.take(event.dataTransfer.files);
  }

  takeChosen() {
    this.take(this.input.files);
    this.form.reset();
  }

  take(files) {
    for (const file of files) {
      const row = new Row(this, file);
      this.rows.push(row);
      const limit = Number(this.getAttribute("limit"));
      if (file.size > limit) row.refuse(`The file has ${size(file.size)}; this channel accepts files of up to ${size(limit)}.`);
      else this.waiting.push(row);
    }
    this.go();
  }

  retry(row) {
    row.wait();
    row.element.focus(); // The focused button is hidden now.
    this.waiting.push(row);
    this.go();
  }

  go() {
    while (this.waiting.length && this.sending.size < AT_ONCE) this.send(this.waiting.shift());
    this.tell();
  }

  send(row) {
    const request = new XMLHttpRequest();
    const form = new FormData();
    const began = performance.now();
    form.append("file", row.file);
    request.upload.onprogress = ({ loaded }) => row.progress(Math.min(loaded, row.file.size), performance.now() - began);
    request.upload.onload = () => row.check();
    request.onloadend = () => this.sent(row, request);
    request.open("POST", this.form.action);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", csrfToken() ?? this.form.elements.csrfmiddlewaretoken.value);
    request.send(form);
    this.sending.add(row);
    row.progress(0, 0);
  }

  sent(row, request) {
    this.sending.delete(row);
    const answer = parse(request.responseText);
    if (answer.url) {
      row.publish(answer);
      if (answer.state === "published") this.follow(row);
    } else {
      row.refuse(answer.error ?? CUT, true);
    }
    this.go();
  }

  follow(row) {
    this.published.push(row);
    this.delay = SOON_MS;
    this.askLater();
  }

  askLater() {
    if (this.published.length && !this.timer) this.timer = setTimeout(() => this.ask(), this.delay);
  }

  async ask() {
    clearTimeout(this.timer);
    this.timer = 0;
    const asked = this.published.splice(0, ASK_AT_ONCE);
    if (!asked.length) return;
    const states = await this.states(asked);
    const open = asked.filter((row) => !row.settle(states[row.path]));
    this.delay = open.length < asked.length ? SOON_MS : Math.min(this.delay * 1.5, LATER_MS);
    this.published.push(...open);
    this.tell();
    this.askLater();
  }

  async states(rows) {
    try {
      const answer = await fetch(`${this.getAttribute("status")}?${new URLSearchParams(rows.map((row) => ["file", row.path]))}`);
      return answer.ok ? await answer.json() : {};
    } catch {
      return {}; // The next request may succeed.
    }
  }

  tell() {
    const count = (...states) => this.rows.filter((row) => states.includes(row.state)).length;
    const refused = count("refused");
    const done = this.rows.length - count("waiting", "uploading", "checking", "published");
    const text = `${done} of ${this.rows.length} done${refused ? `, ${refused} refused` : ""}`;
    const summary = this.querySelector("[role=status]");
    if (summary.textContent !== text) summary.textContent = text;
    for (const part of this.querySelectorAll("[data-rows]")) part.hidden = (part.dataset.rows === "some") !== this.rows.length > 0;
    window.onbeforeunload = this.sending.size || this.waiting.length ? (event) => event.preventDefault() : null;
  }
}

class Row {
  constructor(queue, file) {
    this.file = file;
    this.element = queue.querySelector("template").content.firstElementChild.cloneNode(true);
    this.element.tabIndex = -1;
    this.name = this.find(".name");
    this.meter = this.find("progress");
    this.reason = this.find(".reason");
    this.button = this.find("button");
    this.name.textContent = file.name;
    this.meter.ariaLabel = `Progress of ${file.name}`;
    this.button.ariaLabel = `Retry ${file.name}`;
    this.button.addEventListener("click", () => queue.retry(this));
    queue.querySelector("tbody").append(this.element);
    this.wait();
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  wait() {
    this.reason.hidden = this.button.hidden = true;
    this.show("waiting", size(this.file.size));
  }

  progress(sent, passed_ms) {
    const speed = sent / (passed_ms / 1000);
    const left_s = (this.file.size - sent) / speed;
    this.meter.hidden = false;
    this.meter.value = this.file.size ? sent / this.file.size : 0;
    this.show("uploading", `${size(sent)} of ${size(this.file.size)}`, speed > 0 && passed_ms > 500 ? `${size(speed)}/s, ${duration(left_s)} left` : "");
  }

  check() {
    this.meter.removeAttribute("value");
    this.show("checking", size(this.file.size));
  }

  publish({ state, url, subdir, file_name }) {
    this.path = `${subdir}/${file_name}`;
    this.published_ms = performance.now();
    this.meter.hidden = true;
    const link = document.createElement("a");
    link.href = url;
    link.className = "name";
    link.textContent = this.path;
    this.name.replaceWith(link);
    this.show(state, size(this.file.size));
  }

  // Show `state` and return true if it is final.
  settle(state) {
    if (!state || state === "published") return false;
    const passed_s = (performance.now() - this.published_ms) / 1000;
    this.show(state, size(this.file.size), state === "indexed" ? `Indexed in ${passed_s.toFixed(1)} s` : "");
    return true;
  }

  refuse(sentence, canRetry = false) {
    this.meter.hidden = true;
    this.reason.textContent = sentence;
    this.reason.hidden = false;
    this.button.hidden = !canRetry;
    this.show("refused", size(this.file.size));
  }

  show(state, sizeText, text) {
    this.state = state;
    this.find(".num").textContent = sizeText;
    for (const pill of this.element.querySelectorAll("[data-state]")) {
      pill.hidden = pill.dataset.state !== state;
      if (!pill.hidden && text) pill.firstElementChild.lastChild.textContent = text;
    }
  }
}

// Read the token from the cookie: a sign-in in any tab changes it and invalidates the token of this page.
function csrfToken() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text ? { error: text.startsWith("<") ? "The hub failed to answer; try again." : text } : {};
  }
}

function size(bytes) {
  // As hub/sizes.py writes them.
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1023.5 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${bytes.toFixed(unit && bytes < 99.95 ? 1 : 0).replace(/\.0$/, "")} ${units[unit]}`;
}

function duration(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

customElements.define("upload-queue", UploadQueue);
