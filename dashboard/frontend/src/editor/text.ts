// <config-text>: a <textarea> that becomes a CodeMirror editor once that is loaded. Where it is
// not, or fails to load, the textarea does the same.

export class ConfigText extends HTMLElement {
  private view: { value: string; focus(): void; destroy(): void } | null = null;
  private asked = false;

  get value(): string {
    return this.view ? this.view.value : this.area.value;
  }

  set value(text: string) {
    this.area.value = text;
    if (this.view) this.view.value = text;
    else void this.upgrade();
  }

  override focus(): void {
    if (this.view) this.view.focus();
    else this.area.focus();
  }

  disconnectedCallback(): void {
    this.view?.destroy();
    this.view = null;
    this.asked = false;
    this.area.hidden = false;
  }

  private get area(): HTMLTextAreaElement {
    return this.querySelector("textarea") as HTMLTextAreaElement;
  }

  private async upgrade(): Promise<void> {
    if (this.asked || !this.isConnected) return;
    this.asked = true;
    let mount: typeof import("./codemirror")["mount"];
    try {
      ({ mount } = await import("./codemirror"));
    } catch {
      return; // the textarea stays
    }
    if (!this.isConnected || this.view) return;
    const hadFocus = document.activeElement === this.area;
    const label = this.area.getAttribute("aria-label") ?? "Value";
    const at: [number, number] = [this.area.selectionStart, this.area.selectionEnd];
    // Hidden first, because the editor measures itself, and a long text would be laid out twice.
    this.area.hidden = true;
    try {
      this.view = mount(this, this.area.value, label, at, () => {
        if (this.view) this.area.value = this.view.value;
        this.dispatchEvent(new Event("input", { bubbles: true }));
      });
    } catch (error) {
      this.area.hidden = false;
      throw error;
    }
    if (hadFocus) this.view.focus();
  }
}
