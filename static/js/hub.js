// Enhancements of every page: theme, copy buttons, counts of ticks, suggestions, `/` to search, menus that close. None is needed.

class ThemeMenu extends HTMLElement {
  connectedCallback() {
    this.show();
    this.addEventListener("click", (event) => {
      const choice = event.target.closest("button");
      if (choice) this.choose(choice.value);
    });
  }

  choose(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // Without storage, the theme applies to this page only.
    }
    this.show();
    close(this.querySelector("details"));
  }

  show() {
    const theme = document.documentElement.dataset.theme ?? "";
    for (const button of this.querySelectorAll("button")) button.ariaPressed = String(button.value === theme);
  }
}

class CopyButton extends HTMLElement {
  connectedCallback() {
    // Browsers offer the clipboard only on https and localhost.
    if (!navigator.clipboard) return this.remove();
    this.addEventListener("click", () => this.copy());
  }

  async copy() {
    await navigator.clipboard.writeText(this.getAttribute("value") ?? this.code());
    this.classList.add("copied");
    this.say("Copied");
    setTimeout(() => {
      this.classList.remove("copied");
      this.say("Copy");
    }, 1600);
  }

  code() {
    const lines = this.closest(".code").querySelectorAll(":scope > code, :scope > pre");
    return Array.from(lines, (line) => line.textContent).join("\n");
  }

  say(text) {
    this.firstElementChild.ariaLabel = text;
  }
}

class TickedCount extends HTMLElement {
  connectedCallback() {
    this.boxes = document.getElementsByName("file");
    document.addEventListener("change", () => this.show());
    // Browsers restore ticks when the user comes back.
    window.addEventListener("pageshow", () => this.show());
  }

  show() {
    this.textContent = Array.from(this.boxes).filter((box) => box.checked).length;
  }
}

const WAIT_MS = 150;

// The combobox pattern of WAI-ARIA: the focus stays in the field, which names the active option.
class SearchSuggestions extends HTMLElement {
  connectedCallback() {
    this.field = this.closest("form").elements.q;
    this.id ||= `suggestions-${document.querySelectorAll("search-suggestions[id]").length}`;
    this.list = Object.assign(document.createElement("div"), { id: `${this.id}-list`, className: "menu-items", hidden: true });
    this.list.role = "listbox";
    this.list.ariaLabel = "Suggestions";
    this.status = Object.assign(document.createElement("span"), { className: "visually-hidden" });
    this.status.role = "status";
    this.replaceChildren(this.list, this.status);
    // A field of type `search` can't be a combobox.
    Object.assign(this.field, { type: "text", role: "combobox", autocomplete: "off", enterKeyHint: "search" });
    Object.assign(this.field, { ariaExpanded: "false", ariaAutoComplete: "list" });
    this.field.setAttribute("aria-controls", this.list.id);
    this.field.addEventListener("input", () => this.wait());
    this.field.addEventListener("keydown", (event) => this.press(event));
    this.field.addEventListener("blur", () => this.hide());
    // A press on an option keeps the focus in the field.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
  }

  wait() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.timer = setTimeout(() => this.load(this.field.value.trim()), WAIT_MS);
  }

  async load(text) {
    if (!text) return this.hide();
    this.request = new AbortController();
    try {
      const answer = await fetch(`${this.dataset.url}?${new URLSearchParams({ q: text })}`, { signal: this.request.signal });
      this.show(answer.ok ? (await answer.json()).suggestions : []);
    } catch {
      // The user typed on, or the hub can't be reached. The search itself needs no suggestions.
    }
  }

  show(found) {
    if (document.activeElement !== this.field) return;
    this.list.replaceChildren(...found.map((each, number) => this.option(each, number)));
    this.list.hidden = !found.length;
    this.field.ariaExpanded = String(found.length > 0);
    this.status.textContent = found.length === 1 ? "1 suggestion" : `${found.length || "No"} suggestions`;
    this.activate(null);
  }

  option(suggestion, number) {
    const option = Object.assign(document.createElement("a"), { href: suggestion.url, tabIndex: -1, id: `${this.id}-${number}` });
    option.role = "option";
    option.ariaSelected = "false";
    for (const [key, className] of [["name", "mono"], ["in", ""]]) {
      option.append(Object.assign(document.createElement("span"), { textContent: suggestion[key], className }), " ");
    }
    return option;
  }

  press(event) {
    if (event.key === "Escape" && !this.list.hidden) {
      event.preventDefault();
      this.hide();
    } else if (event.key === "Enter" && this.active && !this.list.hidden) {
      event.preventDefault();
      this.active.click();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !event.altKey) {
      event.preventDefault();
      if (this.list.hidden) this.load(this.field.value.trim());
      else this.move(event.key === "ArrowDown" ? 1 : -1);
    }
  }

  // Beyond the first and the last option lies the field itself.
  move(step) {
    const options = [null, ...this.list.children];
    this.activate(options.at((options.indexOf(this.active) + step) % options.length));
  }

  activate(option) {
    if (this.active) this.active.ariaSelected = "false";
    this.active = option;
    if (option) option.ariaSelected = "true";
    this.field.setAttribute("aria-activedescendant", option?.id ?? "");
  }

  hide() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.list.hidden = true;
    this.field.ariaExpanded = "false";
    this.status.textContent = "";
    this.activate(null);
  }
}

function close(menu) {
  menu.open = false;
  menu.querySelector("summary").focus();
}

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (event.key === "Escape" && menu) close(menu);
  const typing = event.target.closest("input, select, textarea, dialog, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const field = document.querySelector('[aria-keyshortcuts="/"]');
    if (field) {
      event.preventDefault();
      field.focus();
    }
  }
});

// Browsers from before 2025 don't support `command`.
if (!("commandForElement" in HTMLButtonElement.prototype)) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[commandfor]");
    const dialog = button && document.getElementById(button.getAttribute("commandfor"));
    if (dialog) button.getAttribute("command") === "close" ? dialog.close() : dialog.showModal();
  });
}

customElements.define("theme-menu", ThemeMenu);
customElements.define("copy-button", CopyButton);
customElements.define("ticked-count", TickedCount);
customElements.define("search-suggestions", SearchSuggestions);
