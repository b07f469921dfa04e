// The small things: copying a snippet, typing a name to confirm, keys.

class CopySnippet extends HTMLElement {
  connectedCallback(): void {
    const button = this.querySelector("button");
    const text = this.querySelector("pre");
    if (!button || !text || !navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text.textContent ?? "");
      button.textContent = "Copied";
      setTimeout(() => {
        button.textContent = "Copy";
      }, 1500);
    });
  }
}

// The button of a protected environment waits for its name; the server checks it again.
class ConfirmTyped extends HTMLElement {
  connectedCallback(): void {
    const input = this.querySelector("input");
    const button = this.closest("form")?.querySelector<HTMLButtonElement>("[data-confirmed]");
    if (!input || !button) return;
    const check = () => {
      button.disabled = input.value.trim() !== this.dataset.name;
    };
    input.addEventListener("input", check);
    check();
  }
}

// A form is sent once; the button comes back with the page (also from the back-forward cache).
function sendOnce(): void {
  document.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll<HTMLFormElement>("form[data-sent]")) {
      delete form.dataset.sent;
    }
  });
}

function shortcuts(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target as HTMLElement;
    if (at.closest("input, textarea, select, [contenteditable], config-text")) return;
    const found = document.querySelector<HTMLElement>(`[data-shortcut="${CSS.escape(event.key)}"]`);
    if (!found) return;
    event.preventDefault();
    if (found instanceof HTMLInputElement) found.focus();
    else found.click();
  });
}

// Follow a change of the menu at once, where a page without scripts has a button for it.
function themeMenu(): void {
  for (const select of document.querySelectorAll<HTMLSelectElement>("select[data-submit]")) {
    select.form?.querySelector("button")?.setAttribute("hidden", "");
    select.addEventListener("change", () => select.form?.requestSubmit());
  }
}

export function define(): void {
  customElements.define("copy-snippet", CopySnippet);
  customElements.define("confirm-typed", ConfirmTyped);
  sendOnce();
  shortcuts();
  themeMenu();
}
