// Saves a draft while it is typed: 600 ms after the last keystroke and on leaving a field, one
// request at a time, each key against the version in which its value was seen. Knows no DOM.

export type Op = { act: "set"; raw: string } | { act: "unset" } | { act: "revert" };
export type Conflict = { by: string; removed: boolean; version: number };
export type KeyState =
  | { at: "waiting" } // typed, not sent yet
  | { at: "saving" }
  | { at: "saved"; when: number }
  | { at: "unreached"; problem: string } // nobody answered; tried again
  | { at: "refused"; problem: string } // as long as it is as it is
  | { at: "conflict"; conflict: Conflict };

export type Answer =
  | { kind: "saved"; version: number }
  | { kind: "stale"; version: number; conflicts: Record<string, { by: string; removed: boolean }> }
  | { kind: "refused"; problem: string; fields: Record<string, string> }
  | { kind: "unreached"; problem: string; again: boolean };

export type Transport = (body: string, version: number) => Promise<Answer>;
export type Clock = {
  now(): number;
  after(ms: number, run: () => void): number;
  cancel(timer: number): void;
};

export const PAUSE_MS = 600;
const RETRY_MS = [1_000, 2_000, 4_000, 8_000];

type Held = { op: Op; base: number; state: KeyState };

export class Saver {
  private readonly held = new Map<string, Held>();
  private timer: number | null = null;
  private sending = false;
  private failures = 0;

  constructor(
    private readonly send: Transport,
    private readonly clock: Clock,
    // The server has kept `op`; the draft is at `version` now.
    private readonly kept: (key: string, op: Op, version: number) => void,
    // A key's state is another one.
    private readonly told: (key: string, state: KeyState) => void,
  ) {}

  // `base` is the draft's version in which the editor of `key` showed its value.
  edit(key: string, op: Op, base: number): void {
    const held = this.held.get(key);
    this.put(key, { op, base: held ? held.base : base, state: { at: "waiting" } });
    this.schedule(PAUSE_MS);
  }

  // Somebody looked at both sides: what is held now replaces theirs.
  useMine(key: string): void {
    const held = this.held.get(key);
    if (held?.state.at !== "conflict") return;
    this.put(key, { op: held.op, base: held.state.conflict.version, state: { at: "waiting" } });
    this.flush();
  }

  forget(key: string): void {
    this.held.delete(key);
  }

  flush(): void {
    this.schedule(0);
  }

  get(key: string): KeyState | null {
    return this.held.get(key)?.state ?? null;
  }

  op(key: string): Op | null {
    return this.held.get(key)?.op ?? null;
  }

  states(): KeyState[] {
    return [...this.held.values()].map((each) => each.state);
  }

  // True while closing the page would lose something that was typed.
  unsaved(): boolean {
    return [...this.held.values()].some(
      ({ state }) => state.at === "waiting" || state.at === "saving" || state.at === "unreached",
    );
  }

  private put(key: string, held: Held): void {
    this.held.set(key, held);
    this.told(key, held.state);
  }

  private schedule(ms: number): void {
    if (this.timer !== null) this.clock.cancel(this.timer);
    this.timer = this.clock.after(ms, () => {
      this.timer = null;
      void this.sendOne();
    });
  }

  private async sendOne(): Promise<void> {
    if (this.sending) return; // the end of the running one looks again
    const group = this.nextGroup();
    if (!group) return;
    this.sending = true;
    const { base, ops } = group;
    for (const [key, op] of ops) this.put(key, { op, base, state: { at: "saving" } });
    const answer = await this.send(bodyOf(ops), base);
    this.sending = false;
    this.settle(ops, base, answer);
    if (this.nextGroup() && this.timer === null) {
      this.schedule(answer.kind === "unreached" ? this.pause() : 0);
    }
  }

  // Keys that wait and were seen in the same version; the oldest version first.
  private nextGroup(): { base: number; ops: Map<string, Op> } | null {
    const waiting = [...this.held].filter(
      ([, { state }]) => state.at === "waiting" || state.at === "unreached",
    );
    if (!waiting.length) return null;
    const base = Math.min(...waiting.map(([, held]) => held.base));
    const ops = new Map(
      waiting.filter(([, held]) => held.base === base).map(([key, { op }]) => [key, op] as const),
    );
    return { base, ops };
  }

  private settle(sent: Map<string, Op>, base: number, answer: Answer): void {
    this.failures = answer.kind === "unreached" ? this.failures + 1 : 0;
    for (const [key, op] of sent) {
      const held = this.held.get(key);
      if (answer.kind === "saved") this.kept(key, op, answer.version);
      if (!held) continue; // given up meanwhile
      const isSame = held.op === op; // not typed on meanwhile
      const state = stateAfter(key, answer, this.clock.now());
      if (answer.kind === "saved") {
        if (isSame) {
          this.held.delete(key);
          this.told(key, state);
        } else {
          this.put(key, { op: held.op, base: answer.version, state: { at: "waiting" } });
        }
      } else if (state.at === "conflict" || isSame) {
        this.put(key, { op: held.op, base, state });
      }
    }
  }

  private pause(): number {
    return RETRY_MS[Math.min(this.failures - 1, RETRY_MS.length - 1)] ?? 8_000;
  }
}

function stateAfter(key: string, answer: Answer, now: number): KeyState {
  switch (answer.kind) {
    case "saved":
      return { at: "saved", when: now };
    case "unreached":
      return answer.again
        ? { at: "unreached", problem: answer.problem }
        : { at: "refused", problem: answer.problem };
    case "stale": {
      const theirs = answer.conflicts[key];
      // The whole request was refused, so the others go again by themselves.
      if (!theirs) return { at: "waiting" };
      return { at: "conflict", conflict: { ...theirs, version: answer.version } };
    }
    case "refused": {
      const own = answer.fields[key] ?? answer.fields[`set.${key}`];
      if (own) return { at: "refused", problem: own };
      return Object.keys(answer.fields).length
        ? { at: "waiting" }
        : { at: "refused", problem: answer.problem };
    }
  }
}

export function bodyOf(ops: Map<string, Op>): string {
  const set: string[] = [];
  const unset: string[] = [];
  const revert: string[] = [];
  for (const [key, op] of ops) {
    const name = JSON.stringify(key);
    if (op.act === "set") set.push(`${name}:${op.raw}`);
    else if (op.act === "unset") unset.push(name);
    else revert.push(name);
  }
  return `{"set":{${set.join(",")}},"unset":[${unset.join(",")}],"revert":[${revert.join(",")}]}`;
}
