// Undo and redo of one's own acts, by the buttons and by Ctrl+Z outside of fields; and renaming.

import { token } from "./transport";

const LIMIT_MS = 10_000;

export type Acted =
  | { kind: "done" }
  | { kind: "stale"; problem: string }
  | { kind: "refused"; problem: string };

export async function post(url: string, body: object, version: number): Promise<Acted> {
  try {
    const answer = await fetch(url, {
      method: "POST",
      body: JSON.stringify(body),
      headers: {
        "Content-Type": "application/json",
        "If-Match": `"${version}"`,
        "X-CSRFToken": token(),
      },
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    if (answer.ok) return { kind: "done" };
    const held = (await answer.json().catch(() => ({}))) as { detail?: string };
    const problem = held.detail ?? `The server answered ${answer.status}.`;
    return { kind: answer.status === 412 ? "stale" : "refused", problem };
  } catch {
    return { kind: "refused", problem: "The server does not answer. Nothing was changed." };
  }
}

type Keys = { key: string; ctrlKey: boolean; metaKey: boolean; shiftKey: boolean; altKey: boolean };

export function turnOf(event: Keys): "undo" | "redo" | null {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return null;
  const key = event.key.toLowerCase();
  if (key === "z") return event.shiftKey ? "redo" : "undo";
  return key === "y" && !event.shiftKey ? "redo" : null;
}

// A field has an undo of its own, for what was typed in it.
export function isField(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.closest("input, textarea, select, [contenteditable], .cm-editor") !== null
  );
}

const SAID = { undo: "Your last edit is undone.", redo: "What you undid is there again." };

export type Draft = {
  url: string;
  version(): number;
  isSaved(): boolean; // false asks it to save at once
  changed(): Promise<void>; // draws the draft as it is now
  say(text: string): void;
};

export class Turns {
  private running = false;
  private readonly pressed = (event: KeyboardEvent) => {
    const turn = turnOf(event);
    if (!turn || event.defaultPrevented || isField(event.target)) return;
    event.preventDefault();
    void this.turn(turn);
  };

  constructor(
    private readonly host: HTMLElement,
    private readonly draft: Draft,
  ) {
    host.addEventListener("submit", (event) => {
      const turn = (event.target as HTMLElement).dataset.turn;
      if (turn !== "undo" && turn !== "redo") return;
      event.preventDefault();
      void this.turn(turn);
    });
    document.addEventListener("keydown", this.pressed);
  }

  stop(): void {
    document.removeEventListener("keydown", this.pressed);
  }

  private async turn(turn: "undo" | "redo"): Promise<void> {
    if (this.running) return;
    if (!this.draft.isSaved()) {
      this.draft.say(`Something typed is not saved yet. Press ${turn} again once it is.`);
      return;
    }
    this.running = true;
    const answer = await post(`${this.draft.url}/${turn}`, {}, this.draft.version());
    this.running = false;
    if (answer.kind === "stale" && this.ask(turn)) return;
    this.draft.say(answer.kind === "done" ? SAID[turn] : answer.problem);
    await this.draft.changed();
  }

  // The server's page shows both sides of what others changed since, and the ways out.
  private ask(turn: string): boolean {
    const form = this.host.querySelector<HTMLFormElement>('form[data-turn="undo"]');
    const version = form?.querySelector<HTMLInputElement>('[name="version"]');
    if (!form || !version || turn !== "undo") return false;
    version.value = String(this.draft.version());
    form.submit();
    return true;
  }
}

// The form under an open key. `rename` answers the problem, or nothing once it is done.
export function bindRename(
  element: HTMLElement,
  key: string,
  rename: (to: string) => Promise<string>,
): void {
  const form = element.querySelector<HTMLFormElement>("[data-rename]");
  const open = element.querySelector<HTMLElement>("[data-rename-open]");
  const input = form?.querySelector<HTMLInputElement>("input");
  const error = form?.querySelector<HTMLElement>("[data-rename-error]");
  if (!form || !open || !input || !error) return;
  input.setAttribute("aria-label", `New name of ${key}`);
  open.addEventListener("click", () => {
    form.hidden = !form.hidden;
    if (!form.hidden) {
      input.value = key;
      input.select();
    }
  });
  // The value's own listeners shall not take what is typed here for a value.
  for (const kind of ["input", "change"])
    form.addEventListener(kind, (event) => event.stopPropagation());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void rename(input.value.trim()).then((problem) => {
      error.textContent = problem;
      error.hidden = problem === "";
    });
  });
}
