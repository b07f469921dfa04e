// An instance's tile with the words that the page puts to it: the same as dashboard/tiles.py does.

export type Receipt = {
  release: number;
  state: string;
  stage: string;
  reason: string;
  delivered_at: string | null;
  applied_at: string | null;
  confirmed_at: string | null;
};

export type Tile = {
  id: string;
  host: string;
  runtime: string;
  name: string;
  started_at: string | null;
  restarts: number | null;
  pid: number | null;
  target: number | null;
  running: number | null;
  health: string;
  problems: string[];
  receipt: Receipt | null;
  state: string;
  latency_ms: Record<Stage, number | null>;
};

export const STAGES = ["delivered", "applied", "confirmed"] as const;
export type Stage = (typeof STAGES)[number];
export type Look = { tone: string; icon: string; word: string };

export const STATES: Record<string, Look> = {
  failed: { tone: "bad", icon: "cross", word: "Failed" },
  waiting: { tone: "off", icon: "dots", word: "Waiting" },
  delivered: { tone: "lag", icon: "quarter", word: "Delivered" },
  applied: { tone: "lag", icon: "half", word: "Applied" },
  confirmed: { tone: "ok", icon: "check", word: "Confirmed" },
  gone: { tone: "off", icon: "ring", word: "Gone" },
};
const UNKNOWN: Look = { tone: "off", icon: "dots", word: "Unknown" };

export type Drawn = Look & {
  state: string;
  rank: number;
  where: string;
  release_line: string;
  health: string;
  failure: string;
};

export function look(state: string): Look {
  return STATES[state] ?? UNKNOWN;
}

// Seen from release `head`: who has not heard of it yet waits for it.
export function towards(tile: Tile, head: number): string {
  return tile.state === "gone" || (tile.target ?? 0) >= head ? tile.state : "waiting";
}

export function drawn(tile: Tile, head: number): Drawn {
  const state = towards(tile, head);
  return {
    ...look(state),
    state,
    rank: state === "failed" ? 0 : state === "gone" ? 2 : 1,
    where: [tile.host, tile.runtime].filter(Boolean).join(" · "),
    release_line: releaseLine(tile, head, state),
    health: state === "gone" ? "unknown" : tile.health, // what it was says nothing now
    failure: state === "failed" && tile.receipt ? failure(tile.receipt) : "",
  };
}

function releaseLine(tile: Tile, head: number, state: string): string {
  if (state === "gone") return tile.running ? `r${tile.running} last` : "none";
  const target = Math.max(tile.target ?? 0, state === "waiting" ? head : 0);
  if (tile.running === null) return target ? `none yet → r${target}` : "none yet";
  return !target || tile.running === target ? `r${tile.running}` : `r${tile.running} → r${target}`;
}

function failure(receipt: Receipt): string {
  const reason = receipt.reason || "No reason was given.";
  return receipt.stage ? `${receipt.stage}: ${reason}` : reason;
}

export function latency(ms: number | null): string {
  if (ms === null) return "";
  return ms < 10_000 ? `${ms} ms` : `${Math.floor(ms / 1000)} s`;
}

export function before(one: [Drawn, Tile], other: [Drawn, Tile]): number {
  return (
    one[0].rank - other[0].rank ||
    compare(one[1].name, other[1].name) ||
    compare(one[1].id, other[1].id)
  );
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

// Remembers the newest of what frames and fetched snapshots say of each instance.
export class Store {
  private readonly held = new Map<string, { tile: Tile; position: number }>();

  constructor(tiles: Tile[], position: number) {
    for (const tile of tiles) this.held.set(tile.id, { tile, position });
  }

  // False where something newer is known already.
  put(tile: Tile, position: number): boolean {
    const held = this.held.get(tile.id);
    if (held && held.position >= position) return false;
    this.held.set(tile.id, { tile, position });
    return true;
  }

  // A whole snapshot of `position`: what it lacks is gone, unless a later frame brought it.
  replace(tiles: Tile[], position: number): void {
    const there = new Set(tiles.map((tile) => tile.id));
    for (const [id, held] of this.held) {
      if (!there.has(id) && held.position <= position) this.held.delete(id);
    }
    for (const tile of tiles) {
      const held = this.held.get(tile.id);
      if (!held || held.position <= position) this.held.set(tile.id, { tile, position });
    }
  }

  tiles(): Tile[] {
    return [...this.held.values()].map((each) => each.tile);
  }
}
