// What opens under a key: its kind and the field that fits it. Tells its owner what was typed.

import type { KeyState } from "./saver";
import type { ConfigText } from "./text";
import { convert, isLong, type Kind, kindOf, read, textOf, type Value } from "./values";

export type Owner = {
  typed(raw: string): void;
  unreadable(problem: string): void;
  left(): void;
  close(): void;
  keepTheirs(): void;
  useMine(): void;
};

export class Control {
  readonly element: HTMLElement;
  private kind: Kind = "string";
  private severalLines = false;
  private problem = "";

  constructor(
    template: HTMLTemplateElement,
    private readonly key: string,
    private readonly owner: Owner,
  ) {
    this.element = template.content.firstElementChild?.cloneNode(true) as HTMLElement;
    for (const field of [this.single, this.boolean, this.area]) {
      field.setAttribute("aria-label", `Value of ${key}`);
    }
    this.kindSelect.setAttribute("aria-label", `Kind of ${key}`);
    this.element.addEventListener("input", (event) => this.input(event));
    this.element.addEventListener("change", (event) => this.input(event));
    this.element.addEventListener("focusout", (event) => {
      if (!this.element.contains(event.relatedTarget as Node)) this.owner.left();
    });
    this.element.addEventListener("keydown", (event) => this.keydown(event));
    this.on("[data-close]", () => this.owner.close());
    this.on("[data-keep-theirs]", () => this.owner.keepTheirs());
    this.on("[data-use-mine]", () => this.owner.useMine());
    this.on("[data-multiline]", () => this.show(this.kind, this.text, true, true));
  }

  set(value: Value): void {
    const kind = kindOf(value.raw);
    const text = textOf(value);
    this.kindSelect.value = kind;
    this.problem = "";
    this.show(kind, text, kind === "json" || isLong(text), false);
    this.say("");
  }

  focus(): void {
    const field =
      this.kind === "boolean" ? this.boolean : this.kind === "null" ? this.kindSelect : null;
    if (field) field.focus();
    else if (this.severalLines) this.areaElement.focus();
    else {
      this.single.focus();
      this.single.select();
    }
  }

  // What the saver says of this key.
  state(state: KeyState | null, theirs: string, savedAt: string): void {
    const place = this.find<HTMLElement>("[data-state]");
    const words: Record<KeyState["at"], string> = {
      waiting: "Not saved yet",
      saving: "Saving…",
      saved: `Saved ${savedAt}`,
      unreached: "Not saved; tried again",
      refused: "Not saved",
      conflict: "Not saved",
    };
    const isBad =
      this.problem !== "" || ["unreached", "refused", "conflict"].includes(state?.at ?? "");
    place.textContent = this.problem ? "Not saved" : state ? words[state.at] : "";
    place.dataset.tone = isBad ? "bad" : state?.at === "saved" ? "ok" : "off";
    if (state && "problem" in state) this.say(state.problem);
    else this.say(this.problem);
    const conflict = this.find<HTMLElement>("[data-conflict]");
    conflict.hidden = state?.at !== "conflict";
    if (state?.at === "conflict") {
      const { by, removed } = state.conflict;
      this.find("[data-conflict-who]").textContent = removed
        ? `${by} removed ${this.key} while you were typing.`
        : `${by} set ${this.key} to this while you were typing:`;
      const value = this.find<HTMLElement>("[data-conflict-theirs]");
      value.textContent = theirs;
      value.hidden = removed;
    }
  }

  private input(event: Event): void {
    if (event.target === this.kindSelect) {
      if (event.type !== "change") return;
      const kind = this.kindSelect.value as Kind;
      const text = convert(this.text, kind);
      // The focus stays at the choice: a page that moves it while one chooses surprises people.
      this.show(kind, text, kind === "json" || isLong(text), false);
    } else if (event.type === "change" && event.target !== this.boolean) {
      return; // told by `input` already
    }
    const found = read(this.kind, this.text);
    this.problem = "problem" in found ? found.problem : "";
    this.say(this.problem);
    if ("raw" in found) this.owner.typed(found.raw);
    else this.owner.unreadable(found.problem);
  }

  private keydown(event: KeyboardEvent): void {
    if (event.key === "Escape" && !event.defaultPrevented) {
      event.preventDefault();
      event.stopPropagation();
      this.owner.close();
    } else if (event.key === "Enter" && event.target === this.single && !event.isComposing) {
      event.preventDefault();
      this.owner.close();
    }
  }

  private show(kind: Kind, text: string, severalLines: boolean, takeFocus: boolean): void {
    this.kind = kind;
    this.severalLines = severalLines;
    const isText = kind === "string" || kind === "json";
    this.single.hidden = !(kind === "number" || kind === "secret" || (isText && !severalLines));
    this.single.type = kind === "secret" ? "password" : "text";
    this.single.autocomplete = kind === "secret" ? "new-password" : "off";
    this.single.inputMode = kind === "number" ? "decimal" : "text";
    this.areaElement.hidden = !(isText && severalLines);
    this.boolean.hidden = kind !== "boolean";
    this.find<HTMLElement>("[data-null]").hidden = kind !== "null";
    this.find<HTMLElement>("[data-multiline]").hidden = !(kind === "string" && !severalLines);
    if (!this.single.hidden) this.single.value = text;
    if (!this.boolean.hidden) this.boolean.value = text === "true" ? "true" : "false";
    if (!this.areaElement.hidden) this.areaElement.value = text;
    if (takeFocus) this.focus();
  }

  private get text(): string {
    if (this.kind === "boolean") return this.boolean.value;
    if (this.kind === "null") return "null";
    return this.areaElement.hidden ? this.single.value : this.areaElement.value;
  }

  private say(problem: string): void {
    const place = this.find<HTMLElement>("[data-error]");
    if (place.textContent !== problem) place.textContent = problem;
    place.hidden = problem === "";
    for (const field of [this.single, this.area]) {
      if (problem) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  }

  private on(selector: string, run: () => void): void {
    this.find(selector).addEventListener("click", run);
  }

  private find<T extends Element = HTMLElement>(selector: string): T {
    return this.element.querySelector(selector) as T;
  }

  private get kindSelect(): HTMLSelectElement {
    return this.find("[data-kind-select]");
  }
  private get single(): HTMLInputElement {
    return this.find("[data-single]");
  }
  private get boolean(): HTMLSelectElement {
    return this.find("[data-boolean]");
  }
  private get areaElement(): ConfigText {
    return this.find("config-text");
  }
  private get area(): HTMLTextAreaElement {
    return this.find("config-text textarea");
  }
}
