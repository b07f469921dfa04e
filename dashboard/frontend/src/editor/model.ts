// The newest release with the draft laid over it, as dashboard/rows.py writes it. Pure.

import type { Op } from "./saver";
import { previewOf, textOf, type Value } from "./values";

export type Change = {
  removed: boolean;
  value: Value | null;
  version: number;
  author: string;
  at: string;
  overlaps: boolean;
};

export type Model = {
  head: number;
  base: number;
  version: number;
  updated_at: string | null;
  updated_by: string;
  layers: Record<string, string>; // the layer of each key that comes from one
  hints: Record<string, string>; // what the schema says of a key
  entries: Record<string, Value>;
  changes: Record<string, Change>;
};

export type Status = "same" | "added" | "changed" | "removed";
export type Row = { key: string; status: Status; value: Value; change: Change | null };

export const WORDS: Record<Status, string> = {
  same: "",
  added: "Added",
  changed: "Changed",
  removed: "Removed",
};

const NOTHING: Value = { raw: '""' };

export function rowOf(model: Model, key: string): Row {
  const published = model.entries[key];
  const change = model.changes[key] ?? null;
  if (!change) return { key, status: "same", value: published ?? NOTHING, change };
  if (change.removed) return { key, status: "removed", value: published ?? NOTHING, change };
  return {
    key,
    status: published ? "changed" : "added",
    value: change.value ?? NOTHING,
    change,
  };
}

export function keysOf(model: Model): string[] {
  return [...new Set([...Object.keys(model.entries), ...Object.keys(model.changes)])].sort(
    byCodePoint,
  );
}

export function matches(row: Row, word: string, onlyChanged: boolean): boolean {
  if (onlyChanged && row.status === "same") return false;
  if (!word) return true;
  return (
    row.key.toLowerCase().includes(word) ||
    previewOf(row.value).toLowerCase().includes(word) ||
    textOf(row.value).toLowerCase().includes(word)
  );
}

// The model once the server has kept `op`; true when something moved. Values that equal the release are no change.
export function apply(model: Model, key: string, op: Op, version: number, who: string): void {
  model.version = Math.max(model.version, version);
  model.updated_at = new Date().toISOString();
  model.updated_by = who;
  const published = model.entries[key];
  const isSame = op.act === "set" && published?.raw === op.raw;
  const isGone = op.act === "unset" && !published;
  if (op.act === "revert" || isSame || isGone) {
    delete model.changes[key];
    return;
  }
  const stamp = { version, author: who, at: model.updated_at, overlaps: false };
  model.changes[key] =
    op.act === "set"
      ? { removed: false, value: { raw: op.raw }, ...stamp }
      : { removed: true, value: null, ...stamp };
}

export function countOf(model: Model): number {
  return Object.keys(model.changes).length;
}

function byCodePoint(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
