// The API explorer: finds endpoints by their words, and sends requests with the session of the page.

class ApiExplorer extends HTMLElement {
  connectedCallback() {
    this.querySelector(".filter input").addEventListener("input", (event) => this.filter(event.target.value));
    this.openTarget();
    window.addEventListener("hashchange", () => this.openTarget());
  }

  // Links to an operation open it.
  openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.matches("details.operation")) target.open = true;
  }

  filter(text) {
    const words = text.toLowerCase().split(/\s+/);
    let any = false;
    for (const section of this.querySelectorAll("section")) {
      let shown = false;
      for (const operation of section.querySelectorAll("details.operation")) {
        const own = `${section.querySelector("h2").textContent} ${operation.querySelector("summary").textContent}`.toLowerCase();
        operation.hidden = !words.every((word) => own.includes(word));
        shown ||= !operation.hidden;
      }
      section.hidden = !shown;
      any ||= shown;
    }
    this.querySelector(".none").hidden = any;
  }
}

class ApiRequest extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
  }

  async send() {
    const button = this.form.querySelector("button");
    button.ariaBusy = "true";
    try {
      this.show(...(await this.answer()));
    } catch {
      this.show("No answer", "The hub did not answer. Try again.");
    }
    button.ariaBusy = null;
  }

  async answer() {
    const { path, query, headers, body } = this.values();
    const token = this.closest("api-explorer").querySelector("[name=csrfmiddlewaretoken]").value;
    const method = this.getAttribute("method");
    if (method !== "GET") headers.set("X-CSRFToken", token);
    if (body !== undefined) headers.set("Content-Type", "application/json");
    headers.set("Accept", "application/json, application/problem+json");
    const started = performance.now();
    const answer = await fetch(`${path}${query.size ? `?${query}` : ""}`, { method, headers, body, cache: "no-store" });
    const took = Math.round(performance.now() - started);
    const lines = [`${answer.status} ${answer.statusText}, ${took} ms`];
    for (const name of ["ETag", "Location", "X-Error-Code"]) {
      if (answer.headers.has(name)) lines.push(`${name}: ${answer.headers.get(name)}`);
    }
    return [lines.join("\n"), pretty(await answer.text()), answer.headers.get("X-Error-Code")];
  }

  values() {
    const [query, headers] = [new URLSearchParams(), new Headers()];
    let [path, body] = [this.getAttribute("path"), undefined];
    for (const field of this.form.elements) {
      const { name, value } = field;
      if (field.dataset.in === "path") path = path.replace(`{${name}}`, () => encodeURIComponent(value));
      else if (field.dataset.in === "body") body = value;
      else if (value && field.dataset.in === "query") query.append(name, value);
      else if (value && field.dataset.in === "header") headers.set(name, value);
    }
    return { path, query, headers, body };
  }

  show(head, body, code) {
    const place = this.querySelector(".answer");
    place.replaceChildren(block(head), ...(body ? [block(body)] : []));
    if (code === "reauthentication_needed") {
      const link = document.createElement("a");
      link.href = `/accounts/reauthenticate/?next=${encodeURIComponent(location.pathname + location.hash)}`;
      link.textContent = "Confirm your identity";
      place.prepend(link);
    }
  }
}

function block(text) {
  const code = document.createElement("div");
  code.className = "code";
  const lines = document.createElement("pre");
  lines.tabIndex = 0;
  lines.textContent = text;
  code.append(lines);
  return code;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

customElements.define("api-explorer", ApiExplorer);
customElements.define("api-request", ApiRequest);
