// <config-editor>: the keys of a draft. Draws rows from the model, opens keys to be edited, and
// hands what is typed to the saver.

import type { Frame } from "../live/link";
import { be, onPoll } from "../live/root";
import { clockTime } from "../ui/time";
import { drawBar } from "./bar";
import { Company, peopleOf } from "./company";
import { Control } from "./control";
import { KeyList } from "./list";
import { apply, countOf, keysOf, type Model, rowOf } from "./model";
import { type KeyState, type Op, Saver } from "./saver";
import { drawMore, Sieve } from "./sieve";
import { Source } from "./source";
import { ConfigText } from "./text";
import { transport } from "./transport";
import { bindRename, post, Turns } from "./turns";
import { KEY, textOf } from "./values";

const SHOWN = 300; // rows at once; the filter finds the others

type Open = { control: Control; base: number; raw: string; unreadable: boolean };

class ConfigEditor extends HTMLElement {
  private model!: Model;
  private saver!: Saver;
  private source!: Source;
  private list!: KeyList;
  private sieve!: Sieve;
  private company!: Company;
  private turns: Turns | null = null;
  private readonly opened = new Map<string, Open>();
  private limit = SHOWN;
  private savedAt: number | null = null;
  private unregister: (() => void) | null = null;
  private readonly heard = (event: Event) => this.hear((event as CustomEvent<Frame>).detail);
  private readonly parted = (event: Event) => {
    if ((event as CustomEvent<string>).detail !== "live") this.meet([]);
  };
  private readonly leaving = (event: BeforeUnloadEvent) => {
    if (this.saver.unsaved() || this.unreadable()) event.preventDefault();
  };

  connectedCallback(): void {
    if (this.dataset.readOnly !== undefined) {
      return; // who may not edit reads, filters and opens keys as without a script
    }
    this.model = JSON.parse(this.find("script#model").textContent ?? "{}") as Model;
    if (this.model.updated_at && countOf(this.model)) {
      this.savedAt = Date.parse(this.model.updated_at);
    }
    this.saver = new Saver(
      transport(this.dataset.draftUrl ?? ""),
      {
        now: () => Date.now(),
        after: (ms, run) => window.setTimeout(run, ms),
        cancel: (timer) => window.clearTimeout(timer),
      },
      (key, op, version) => this.kept(key, op, version),
      (key, state) => this.told(key, state),
    );
    this.source = new Source(this.dataset.modelUrl ?? "", (model) => this.take(model));
    const keys = this.find("[data-keys]");
    this.list = new KeyList(keys, this.find("template[data-row]"), this.dataset.keyUrl ?? "");
    keys.addEventListener("click", (event) => this.clicked(event));
    this.sieve = new Sieve(this, () => {
      this.limit = SHOWN;
      this.draw();
    });
    this.find("[data-add]").addEventListener("submit", (event) => {
      event.preventDefault();
      this.add();
    });
    this.company = new Company(this.querySelector("[data-presence]"), this.dataset.person ?? "");
    this.turns = new Turns(this, {
      url: this.dataset.draftUrl ?? "",
      version: () => this.model.version,
      isSaved: () => this.isSaved(),
      changed: () => this.changed(),
      say: (text) => this.say(text),
    });
    document.addEventListener("live:frame", this.heard);
    document.addEventListener("live:state", this.parted);
    window.addEventListener("beforeunload", this.leaving);
    this.unregister = onPoll(() => this.source.refetch());
    this.draw();
    be(this.dataset.stream ?? "", null);
  }

  disconnectedCallback(): void {
    this.turns?.stop();
    document.removeEventListener("live:state", this.parted);
    document.removeEventListener("live:frame", this.heard);
    window.removeEventListener("beforeunload", this.leaving);
    this.unregister?.();
  }

  // --- what people do -----------------------------------------------------------------------

  private add(): void {
    const input = this.find<HTMLInputElement>("#new-key");
    const key = input.value.trim();
    const place = this.find("#new-key-error");
    const isKey = KEY.test(key);
    const isThere = this.isKnown(key) && rowOf(this.model, key).status !== "removed";
    place.textContent = !isKey
      ? "A key has 1 to 128 letters, digits, '_', '.' or '-' and begins with a letter or '_'."
      : isThere
        ? `${key} is there already; it is open below.`
        : "";
    place.hidden = place.textContent === "";
    if (isKey) input.removeAttribute("aria-invalid");
    else input.setAttribute("aria-invalid", "true");
    if (!isKey) return;
    input.value = "";
    this.openKey(key);
  }

  private clicked(event: MouseEvent): void {
    const at = event.target as HTMLElement;
    const key = at.closest<HTMLElement>(".key")?.dataset.key;
    if (!key || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (at.closest("[data-edit]")) {
      event.preventDefault();
      if (this.opened.has(key)) this.close(key);
      else this.openKey(key);
    } else if (at.closest("[data-remove]")) {
      this.act(key, { act: "unset" });
    } else if (at.closest("[data-undo]")) {
      this.undo(key);
    }
  }

  private openKey(key: string): void {
    for (const other of [...this.opened.keys()]) if (other !== key) this.close(other, false);
    if (this.opened.has(key)) {
      this.opened.get(key)?.control.focus();
      return;
    }
    const row = rowOf(this.model, key);
    const control = new Control(this.find("template[data-control]"), key, {
      typed: (raw) => this.typed(key, raw),
      unreadable: () => this.cannotRead(key),
      left: () => this.saver.flush(),
      close: () => this.close(key),
      keepTheirs: () => void this.keepTheirs(key),
      useMine: () => this.saver.useMine(key),
    });
    this.opened.set(key, {
      control,
      base: this.model.version,
      raw: this.isKnown(key) ? row.value.raw : "", // a new one is saved whatever its first value
      unreadable: false,
    });
    this.draw();
    const slot = this.list.slot(key);
    if (!slot) return;
    bindRename(control.element, key, (to) => this.rename(key, to));
    be(this.dataset.stream ?? "", this.isKnown(key) ? key : null);
    slot.replaceChildren(control.element);
    slot.hidden = false;
    control.set(row.value);
    this.showState(key);
    control.focus();
    this.list.node(key)?.scrollIntoView({ block: "nearest" });
  }

  // What is not saved and waits for a decision stays open, so that nothing typed is ever lost.
  private close(key: string, takeFocus = true): void {
    const open = this.opened.get(key);
    if (!open) return;
    this.saver.flush();
    const at = this.saver.get(key)?.at;
    if (open.unreadable || at === "conflict" || at === "refused") return;
    this.drop(key);
    if (takeFocus) this.list.node(key)?.querySelector<HTMLElement>("[data-edit]")?.focus();
  }

  private drop(key: string): void {
    this.opened.delete(key);
    if (!this.opened.size) be(this.dataset.stream ?? "", null);
    const slot = this.list.slot(key);
    if (slot) {
      slot.replaceChildren();
      slot.hidden = true;
    }
    this.draw();
  }

  private typed(key: string, raw: string): void {
    const open = this.opened.get(key);
    if (!open) return;
    open.unreadable = false;
    if (raw === open.raw && !this.saver.get(key)) this.draw();
    else this.saver.edit(key, { act: "set", raw }, open.base);
  }

  private cannotRead(key: string): void {
    const open = this.opened.get(key);
    if (!open) return;
    open.unreadable = true;
    this.saver.forget(key);
    this.draw();
    this.showState(key);
  }

  private act(key: string, op: Op): void {
    const base = this.opened.get(key)?.base ?? this.model.version;
    this.drop(key);
    this.saver.edit(key, op, base);
    this.saver.flush();
    this.list.node(key)?.querySelector<HTMLElement>("[data-edit]")?.focus();
  }

  private undo(key: string): void {
    if (Object.hasOwn(this.model.changes, key)) {
      this.act(key, { act: "revert" });
      return;
    }
    this.saver.forget(key); // it never reached the server
    this.drop(key);
  }

  // False asks for the save, so that the next time it is.
  private isSaved(): boolean {
    this.saver.flush();
    return !this.saver.unsaved() && !this.unreadable();
  }

  // Undone or renamed: what is open under a key that is gone is closed, the rest follows.
  private async changed(): Promise<void> {
    await this.source.refetch();
    for (const key of [...this.opened.keys()]) if (!this.isKnown(key)) this.drop(key);
  }

  private async rename(key: string, to: string): Promise<string> {
    if (!this.isSaved()) return "Something typed is not saved yet. Rename once it is.";
    const body = { from: key, to };
    const answer = await post(`${this.dataset.draftUrl}/rename`, body, this.model.version);
    if (answer.kind !== "done") {
      void this.source.refetch();
      return answer.problem;
    }
    this.drop(key);
    await this.changed();
    this.say(`${key} is ${to} now. References to it stay as they are.`);
    this.list.node(to)?.querySelector<HTMLElement>("[data-edit]")?.focus();
    return "";
  }

  private say(text: string): void {
    const place = this.find("[data-moved]");
    place.hidden = false;
    place.textContent = text;
  }

  private meet(people: ReturnType<typeof peopleOf>): void {
    this.company.meet(people);
    this.company.mark(this.find("[data-keys]"));
  }

  private async keepTheirs(key: string): Promise<void> {
    this.saver.forget(key);
    await this.source.refetch();
    const open = this.opened.get(key);
    if (!open) return;
    if (!this.isKnown(key) || rowOf(this.model, key).status === "removed") {
      this.close(key);
      return;
    }
    open.raw = rowOf(this.model, key).value.raw;
    open.base = this.model.version;
    open.control.set(rowOf(this.model, key).value);
    this.draw();
    this.showState(key);
  }

  // --- what the server says -----------------------------------------------------------------

  private kept(key: string, op: Op, version: number): void {
    apply(this.model, key, op, version, this.dataset.person ?? "");
    const open = this.opened.get(key);
    if (!open) return;
    open.base = Math.max(open.base, version);
    if (op.act === "set") open.raw = op.raw;
  }

  private told(key: string, state: KeyState): void {
    if (state.at === "saved") {
      this.savedAt = state.when;
      void this.source.refetch(); // what others changed meanwhile came with a later version
    }
    if (state.at === "conflict") void this.source.refetch().then(() => this.showState(key));
    this.draw();
    this.showState(key, state);
  }

  private hear(frame: Frame): void {
    if (frame.stream !== this.dataset.stream) return;
    if (frame.kind === "presence") {
      this.meet(peopleOf(frame));
    } else if (frame.kind === "draft.changed") {
      const { version } = frame.data as { version: number };
      if (version > this.model.version) void this.source.refetch();
    } else if (frame.kind === "release.published") {
      const { release, author } = frame.data as { release: number; author: string };
      if (release <= this.model.head) return;
      this.say(`${author} published r${release}. The draft is laid over it now.`);
      void this.source.refetch();
    }
  }

  private take(model: Model): void {
    if (model.version < this.model.version || model.head < this.model.head) return;
    this.model = model;
    if (model.updated_at) this.savedAt = Math.max(this.savedAt ?? 0, Date.parse(model.updated_at));
    for (const [key, open] of this.opened) this.follow(key, open);
    this.draw();
  }

  // A key that is open but untouched shows what somebody else made of it.
  private follow(key: string, open: Open): void {
    if (this.saver.get(key) || open.unreadable || !this.isKnown(key)) return;
    const { value } = rowOf(this.model, key);
    open.base = this.model.version;
    if (value.raw === open.raw) return;
    open.raw = value.raw;
    open.control.set(value);
  }

  // --- drawing ------------------------------------------------------------------------------

  private draw(): void {
    const keys = keysOf(this.model);
    keys.unshift(...[...this.opened.keys()].filter((key) => !this.isKnown(key)));
    const found = keys
      .map((key) => rowOf(this.model, key))
      .filter((row) => this.opened.has(row.key) || this.sieve.lets(row));
    const shown = found.slice(0, this.limit).map((row) => {
      const state = this.saver.get(row.key);
      const isLost = state !== null && ["unreached", "refused", "conflict"].includes(state.at);
      const open = this.opened.get(row.key);
      return { row, state, isOpen: open !== undefined, isLost: isLost || !!open?.unreadable };
    });
    this.list.draw(shown, this.model);
    this.company.mark(this.find("[data-keys]"));
    this.find("[data-empty]").hidden = keys.length > 0;
    this.find("[data-nothing]").hidden = keys.length === 0 || shown.length > 0;
    drawMore(this.find("[data-more]"), found.length - shown.length, SHOWN, () => {
      this.limit += SHOWN;
      this.draw();
    });
    drawBar(this, this.model, {
      states: this.saver.states(),
      unreadable: this.unreadable(),
      savedAt: this.savedAt,
    });
  }

  private showState(key: string, state: KeyState | null = this.saver.get(key)): void {
    const value = this.model.changes[key]?.value ?? this.model.entries[key];
    const savedAt = this.savedAt ? clockTime(this.savedAt) : "";
    this.opened.get(key)?.control.state(state, value ? textOf(value) : "", savedAt);
  }

  private unreadable(): number {
    return [...this.opened.values()].filter((open) => open.unreadable).length;
  }

  private isKnown(key: string): boolean {
    return Object.hasOwn(this.model.entries, key) || Object.hasOwn(this.model.changes, key);
  }

  private find<T extends Element = HTMLElement>(selector: string): T {
    return this.querySelector(selector) as T;
  }
}

export function define(): void {
  customElements.define("config-text", ConfigText);
  customElements.define("config-editor", ConfigEditor);
}
