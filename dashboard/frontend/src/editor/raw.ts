// <raw-editor>: a draft as a text. Saves it 800 ms after the last keystroke, says what does not
// read, and shows both sides where somebody else changed the same.

import type { Frame } from "../live/link";
import { onPoll } from "../live/root";
import { clockTime } from "../ui/time";
import { type Answer, type Conflicts, get, put, type Versions } from "./raw-transport";
import type { ConfigText } from "./text";

const PAUSE_MS = 800;
const RETRY_MS = [1_000, 2_000, 4_000, 8_000];

class RawEditor extends HTMLElement {
  private opened = ""; // what the writer began with: the other side of every comparison
  private sent = "";
  private versions: Versions = { version: 0, draft: 0 };
  private timer = 0;
  private isSending = false;
  private isBlocked = false; // a conflict waits for a decision
  private failures = 0;
  private giveUp: string[] = [];
  private unregister: (() => void) | null = null;
  private decide: ((mine: boolean) => void) | null = null;
  private readonly heard = (event: Event) => this.hear((event as CustomEvent<Frame>).detail);
  private readonly leaving = (event: BeforeUnloadEvent) => {
    if (this.isUnsaved) event.preventDefault();
  };

  connectedCallback(): void {
    if (this.dataset.readOnly !== undefined) return;
    this.versions = { version: Number(this.dataset.version), draft: Number(this.dataset.draft) };
    this.opened = this.find<HTMLTextAreaElement>("[data-opened]").value;
    this.sent = this.area.value;
    for (const plain of this.querySelectorAll<HTMLElement>("[data-plain]")) plain.hidden = true;
    this.find("[data-scripted]").hidden = false;
    this.text.value = this.area.value; // makes it an editor
    this.text.addEventListener("input", () => this.typed());
    this.find("[data-take-theirs]").addEventListener("click", () => this.decide?.(false));
    this.find("[data-use-mine]").addEventListener("click", () => this.decide?.(true));
    document.addEventListener("live:frame", this.heard);
    window.addEventListener("beforeunload", this.leaving);
    this.unregister = onPoll(() => this.refetch());
  }

  disconnectedCallback(): void {
    document.removeEventListener("live:frame", this.heard);
    window.removeEventListener("beforeunload", this.leaving);
    this.unregister?.();
    window.clearTimeout(this.timer);
  }

  private typed(): void {
    this.say("Not saved yet", "lag");
    if (!this.isBlocked) this.schedule(PAUSE_MS);
  }

  private schedule(ms: number): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.save(), ms);
  }

  private async save(): Promise<void> {
    if (this.isSending) return; // the end of the running one looks again
    this.isSending = true;
    this.say("Saving…", "lag");
    const text = this.text.value;
    const body = { text, opened: this.opened, give_up: this.giveUp };
    const answer = await put(this.url, body, this.versions);
    this.isSending = false;
    this.failures = answer.kind === "unreached" ? this.failures + 1 : 0;
    this.take(answer, text);
    if (!this.isBlocked && answer.kind !== "refused" && this.isUnsaved) {
      const retry = RETRY_MS[Math.min(this.failures, RETRY_MS.length) - 1];
      this.schedule(this.failures ? (retry ?? PAUSE_MS) : 0);
    }
  }

  private take(answer: Answer, text: string): void {
    switch (answer.kind) {
      case "saved":
        this.saved(answer, text);
        break;
      case "stale-keys":
        this.conflict("These keys were changed after you opened the text.", answer.conflicts, "");
        this.decide = (mine) => {
          this.versions = { ...this.versions, draft: answer.draft };
          this.giveUp = mine ? [] : Object.keys(answer.conflicts);
          this.decided();
        };
        break;
      case "stale-text":
        this.conflict(`${answer.by} saved this text after you opened it.`, {}, answer.theirs);
        this.decide = (mine) => {
          this.versions = { ...this.versions, version: answer.version };
          if (!mine) {
            this.versions.draft = answer.draft;
            this.show(answer.theirs);
          }
          this.decided();
        };
        break;
      case "refused":
        this.problem(answer.problem, false);
        this.say("Not saved: look at the message above", "bad");
        break;
      case "unreached":
        this.say(`Not saved: ${answer.problem} Tried again.`, "bad");
    }
  }

  private saved(answer: Answer & { kind: "saved" }, text: string): void {
    this.seen(answer.versions, answer.changes);
    this.giveUp = [];
    this.sent = text;
    if (answer.problem) {
      this.problem(`Line ${answer.problem.line}: ${answer.problem.message}`, true);
      this.say("The text is kept; the draft waits until it reads", "bad");
      return;
    }
    this.problem("", false);
    // What is typed on is typed on what was sent, so that is what the next save is compared with.
    this.opened = text;
    if (this.text.value === text && answer.text !== text) this.show(answer.text);
    this.say(`Saved ${clockTime(Date.now())}`, "off");
  }

  // The form below has them as well, for the button that writes the text anew.
  private seen(versions: Versions, changes: number): void {
    this.versions = versions;
    this.find("[data-draft-size]").textContent =
      changes === 1 ? "1 change" : changes ? `${changes} changes` : "No changes";
    const tab = document.querySelector<HTMLElement>("[data-draft-count]");
    if (tab) {
      tab.textContent = changes ? String(changes) : "";
      tab.hidden = changes === 0;
    }
    this.find<HTMLInputElement>("input[name=version]").value = String(versions.version);
    this.find<HTMLInputElement>("input[name=draft]").value = String(versions.draft);
  }

  private show(text: string): void {
    this.opened = text;
    this.sent = text;
    this.text.value = text;
  }

  private conflict(who: string, conflicts: Conflicts, theirs: string): void {
    this.isBlocked = true;
    this.find("[data-conflict]").hidden = false;
    this.find("[data-conflict-who]").textContent = `${who} Nothing was saved.`;
    const text = this.find("[data-theirs]");
    text.hidden = theirs === "";
    text.textContent = theirs;
    this.find("[data-conflicts]").replaceChildren(
      ...Object.entries(conflicts).flatMap(([key, held]) => pair(key, held)),
    );
    this.say("Not saved: decide about a conflict above", "bad");
  }

  private decided(): void {
    this.isBlocked = false;
    this.decide = null;
    this.find("[data-conflict]").hidden = true;
    if (this.isUnsaved) this.schedule(0);
    else this.say(`Saved ${clockTime(Date.now())}`, "off");
  }

  private problem(text: string, isKept: boolean): void {
    this.find("[data-problem]").hidden = text === "";
    this.find("[data-problem-text]").textContent = text;
    this.find("[data-problem-kept]").hidden = !isKept;
    this.querySelector("[data-excerpt]")?.remove(); // of another text
    if (text) this.area.setAttribute("aria-invalid", "true");
    else this.area.removeAttribute("aria-invalid");
  }

  private hear(frame: Frame): void {
    if (frame.stream !== this.dataset.stream) return;
    if (frame.kind === "draft.changed") {
      const { version } = frame.data as { version: number };
      if (version > this.versions.draft) void this.refetch();
    } else if (frame.kind === "release.published") void this.refetch();
  }

  // Theirs comes in only while nothing of one's own waits; a save brings it in otherwise.
  private async refetch(): Promise<boolean> {
    if (this.isUnsaved || this.isSending || this.isBlocked) return true;
    const answer = await get(this.url);
    if (answer.kind !== "saved") return false;
    if (this.isUnsaved || this.isSending || answer.problem) return true;
    this.seen(answer.versions, answer.changes);
    if (answer.text !== this.text.value) this.show(answer.text);
    return true;
  }

  private say(text: string, tone: string): void {
    const place = this.find("[data-save]");
    if (place.textContent !== text) place.textContent = text;
    place.dataset.tone = tone;
  }

  private get isUnsaved(): boolean {
    return this.isBlocked || this.isSending || this.text.value !== this.sent;
  }
  private get url(): string {
    return this.dataset.textUrl ?? "";
  }
  private get text(): ConfigText {
    return this.find("config-text");
  }
  private get area(): HTMLTextAreaElement {
    return this.find("config-text textarea");
  }
  private find<T extends HTMLElement = HTMLElement>(selector: string): T {
    return this.querySelector(selector) as T;
  }
}

function pair(key: string, held: Conflicts[string]): HTMLElement[] {
  const name = document.createElement("dt");
  const code = document.createElement("code");
  code.textContent = key;
  name.append(code, ` by ${held.by}`);
  const value = document.createElement("dd");
  const theirs = document.createElement("pre");
  theirs.className = "conflict-value";
  theirs.textContent =
    typeof held.theirs === "string" ? held.theirs : JSON.stringify(held.theirs, null, 2);
  value.append(held.removed ? "removed" : theirs);
  return [name, value];
}

export function define(): void {
  customElements.define("raw-editor", RawEditor);
}
