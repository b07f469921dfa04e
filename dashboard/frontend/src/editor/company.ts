// Who else has this draft open, and at which key: as text in the bar, and at the keys.

import type { Frame } from "../live/link";

export type Person = { name: string; keys: string[] };

// "Also here: ben at POOL, you in another tab"; empty for nobody.
export function sentence(people: Person[], me: string): string {
  const parts = people.map((person) => {
    const name = person.name === me ? "you in another tab" : person.name;
    return person.keys.length ? `${name} at ${person.keys.join(", ")}` : name;
  });
  return parts.length ? `Also here: ${parts.join("; ")}` : "";
}

// What stands at each key that somebody else is in.
export function byKey(people: Person[], me: string): Map<string, string> {
  const found = new Map<string, string[]>();
  for (const person of people) {
    const name = person.name === me ? "You, in another tab" : person.name;
    for (const key of person.keys) found.set(key, [...(found.get(key) ?? []), name]);
  }
  return new Map([...found].map(([key, names]) => [key, `${names.join(", ")}: here now`]));
}

export function peopleOf(frame: Frame): Person[] {
  const people = (frame as { people?: unknown }).people;
  return Array.isArray(people) ? (people as Person[]) : [];
}

export class Company {
  private people: Person[] = [];

  constructor(
    private readonly bar: HTMLElement | null,
    private readonly me: string,
  ) {}

  meet(people: Person[]): void {
    this.people = people;
    if (!this.bar) return;
    const text = sentence(people, this.me);
    if (this.bar.textContent !== text) this.bar.textContent = text;
    this.bar.hidden = text === "";
  }

  mark(list: HTMLElement): void {
    const there = byKey(this.people, this.me);
    for (const node of list.querySelectorAll<HTMLElement>(":scope > .key")) {
      const place = node.querySelector<HTMLElement>('[data-field="here"]');
      const text = there.get(node.dataset.key ?? "") ?? "";
      if (place && place.textContent !== text) place.textContent = text;
    }
  }
}
