// Enhancements of every page: theme, copy buttons, `/` to search, menus that close. Pages work without them.

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
