// Which rows are shown: what is typed into the filter, kept in the address, and "only changed".

import { matches, type Row } from "./model";

export class Sieve {
  private word = "";
  private onlyChanged = false;

  constructor(editor: HTMLElement, changed: () => void) {
    const filter = editor.querySelector("#q") as HTMLInputElement;
    const only = editor.querySelector("[data-only-changed]") as HTMLInputElement;
    // The button is for pages without scripts, the choice for those with them.
    editor.querySelector("[data-plain]")?.setAttribute("hidden", "");
    editor.querySelector("[data-scripted]")?.removeAttribute("hidden");
    this.word = filter.value.trim().toLowerCase();
    const read = () => {
      this.word = filter.value.trim().toLowerCase();
      this.onlyChanged = only.checked;
      const url = new URL(location.href);
      if (this.word) url.searchParams.set("q", filter.value.trim());
      else url.searchParams.delete("q");
      history.replaceState(history.state, "", url);
      changed();
    };
    filter.addEventListener("input", read);
    only.addEventListener("change", read);
    filter.form?.addEventListener("submit", (event) => event.preventDefault());
  }

  lets(row: Row): boolean {
    return matches(row, this.word, this.onlyChanged);
  }
}

export function drawMore(place: HTMLElement, hidden: number, step: number, more: () => void): void {
  place.hidden = hidden <= 0;
  if (hidden <= 0) return;
  const button = document.createElement("button");
  button.className = "button small-button";
  button.type = "button";
  button.textContent = `Show ${Math.min(hidden, step)} more of ${hidden}`;
  button.addEventListener("click", more);
  place.replaceChildren(button);
}
