// The bar at the bottom: how much is drafted, and whether all that was typed is saved.

import { clockTime } from "../ui/time";
import { countOf, type Model } from "./model";
import type { KeyState } from "./saver";

export type Saved = { states: KeyState[]; unreadable: number; savedAt: number | null };

const LINES: [KeyState["at"], string, string][] = [
  ["conflict", "Not saved: decide about a conflict above", "bad"],
  ["refused", "Not saved: a value above was refused", "bad"],
  ["unreached", "Not saved: the server does not answer; tried again", "bad"],
  ["saving", "Saving…", "lag"],
  ["waiting", "Saving…", "lag"],
];

export function drawBar(editor: HTMLElement, model: Model, saved: Saved): void {
  const count = countOf(model);
  const words = count === 1 ? "1 change" : count ? `${count} changes` : "No changes";
  set(editor.querySelector("[data-draft-size]"), words);
  const authors = [...new Set(Object.values(model.changes).map((change) => change.author))].sort();
  set(
    editor.querySelector("[data-draft-authors]"),
    authors.length ? `by ${authors.join(", ")}` : "",
  );
  set(editor.querySelector("[data-draft-base]"), `on r${model.head}`);
  const tab = document.querySelector<HTMLElement>("[data-draft-count]");
  if (tab) {
    set(tab, count ? String(count) : "");
    tab.hidden = count === 0;
  }
  const place = editor.querySelector<HTMLElement>("[data-save]");
  if (!place) return;
  const [text, tone] = line(saved);
  set(place, text);
  place.dataset.tone = tone;
}

// The worst first: what is not saved is said before what is.
function line({ states, unreadable, savedAt }: Saved): [string, string] {
  const there = new Set(states.map((state) => state.at));
  if (unreadable) return ["Not saved: a value above cannot be read", "bad"];
  for (const [at, text, tone] of LINES) if (there.has(at)) return [text, tone];
  return [savedAt ? `Saved ${clockTime(savedAt)}` : "", "off"];
}

function set(element: Element | null, text: string): void {
  if (element && element.textContent !== text) element.textContent = text;
}
