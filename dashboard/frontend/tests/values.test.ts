import assert from "node:assert/strict";
import { test } from "node:test";
import { apply, keysOf, type Model, matches, rowOf } from "../src/editor/model";
import { convert, kindOf, previewOf, read, textOf } from "../src/editor/values";
import { before, drawn, Store, type Tile } from "../src/grid/tile";
import { age } from "../src/ui/time";

test("a value's kind is read from its JSON", () => {
  const cases = {
    '"a"': "string",
    "-1.5e3": "number",
    true: "boolean",
    null: "null",
    "[1]": "json",
  };
  for (const [raw, kind] of Object.entries(cases)) assert.equal(kindOf(raw), kind);
});

test("a secret is sent as one and never shown again", () => {
  const mask = '{"$secret": true, "fingerprint": "3f2a9c1b7d4e", "version": 2}';
  const typed = read("secret", 'pass"word');
  assert.deepEqual(typed, { raw: '{"$secret":"pass\\"word"}' });
  assert.ok("problem" in read("secret", ""));
  for (const raw of [mask, "raw" in typed ? typed.raw : ""]) {
    assert.equal(kindOf(raw), "secret");
    assert.equal(textOf({ raw }), "");
    assert.ok(!previewOf({ raw }).includes("pass"));
  }
  assert.equal(previewOf({ raw: mask }), "•••••• version 2, fingerprint 3f2a9c1b7d4e");
  assert.equal(kindOf('{"secret": true}'), "json");
});

test("numbers and JSON are passed on as they were typed", () => {
  assert.deepEqual(read("number", " 12345678901234567890 "), { raw: "12345678901234567890" });
  assert.deepEqual(read("number", "1.0"), { raw: "1.0" });
  assert.deepEqual(read("json", '{"id": 12345678901234567890}'), {
    raw: '{"id": 12345678901234567890}',
  });
  for (const wrong of ["", "01", "1.", "NaN", "0x1", "1,5"])
    assert.ok("problem" in read("number", wrong));
  assert.ok("problem" in read("json", "{"));
  assert.ok("problem" in read("json", ""));
});

test("a text survives its way through JSON", () => {
  const text = 'a "b"\n\tc\\ é 🚀';
  const value = read("string", text);
  assert.ok("raw" in value);
  assert.equal(textOf(value), text);
  assert.equal(previewOf(value), 'a "b" … 2 lines');
});

test("a text that becomes JSON is quoted only where it has to be", () => {
  assert.equal(convert("[1]", "json"), "[1]");
  assert.equal(convert("hello", "json"), '"hello"');
  assert.equal(convert("", "json"), "");
});

function model(): Model {
  return {
    head: 3,
    base: 3,
    version: 7,
    updated_at: null,
    updated_by: "",
    entries: { A: { raw: "1" }, B: { raw: '"two"' } },
    changes: {},
  };
}

test("a draft's row says what became of the key", () => {
  const held = model();
  apply(held, "A", { act: "set", raw: "2" }, 8, "ann");
  apply(held, "B", { act: "unset" }, 9, "ann");
  apply(held, "C", { act: "set", raw: "3" }, 10, "ann");
  assert.deepEqual(
    keysOf(held).map((key) => rowOf(held, key).status),
    ["changed", "removed", "added"],
  );
  assert.equal(held.version, 10);
  apply(held, "A", { act: "set", raw: "1" }, 11, "ann");
  apply(held, "C", { act: "unset" }, 12, "ann");
  apply(held, "B", { act: "revert" }, 13, "ann");
  assert.deepEqual(held.changes, {});
});

test("the filter finds names and values", () => {
  const held = model();
  assert.ok(matches(rowOf(held, "B"), "tw", false));
  assert.ok(!matches(rowOf(held, "A"), "tw", false));
  assert.ok(!matches(rowOf(held, "A"), "", true));
});

function tile(over: Partial<Tile> = {}): Tile {
  return {
    id: "i1",
    host: "node-1",
    runtime: "docker",
    name: "web-1",
    started_at: null,
    restarts: 0,
    pid: 7,
    target: 4,
    running: 4,
    health: "healthy",
    problems: [],
    state: "confirmed",
    receipt: null,
    latency_ms: { delivered: 1, applied: 2, confirmed: 3 },
    ...over,
  };
}

test("who has not heard of the newest release is not shown as confirmed", () => {
  assert.equal(drawn(tile(), 4).state, "confirmed");
  const waiting = drawn(tile(), 5);
  assert.equal(waiting.state, "waiting");
  assert.equal(waiting.release_line, "r4 → r5");
});

test("failed instances come first and gone ones last", () => {
  const tiles = [
    tile({ id: "c", state: "gone" }),
    tile({ id: "b" }),
    tile({ id: "a", state: "failed" }),
  ];
  const order = tiles.map((each): [ReturnType<typeof drawn>, Tile] => [drawn(each, 4), each]);
  assert.deepEqual(
    order.sort(before).map(([, each]) => each.id),
    ["a", "b", "c"],
  );
});

test("neither a late frame nor an old snapshot replaces something newer", () => {
  const store = new Store([tile({ pid: 1 })], 10);
  assert.ok(store.put(tile({ pid: 2 }), 12));
  assert.ok(!store.put(tile({ pid: 3 }), 11));
  store.replace([tile({ pid: 4 })], 11);
  assert.equal(store.tiles()[0]?.pid, 2);
  store.put(tile({ id: "i2" }), 14);
  store.replace([tile({ pid: 5 })], 13);
  assert.deepEqual(
    store.tiles().map((each) => each.id),
    ["i1", "i2"],
  );
  store.replace([], 15);
  assert.deepEqual(store.tiles(), []);
});

test("an age is said in its largest sensible unit", () => {
  const cases: [number, string][] = [
    [400, "just now"],
    [3_000, "3 s ago"],
    [240_000, "4 min ago"],
    [7_200_000, "2 h ago"],
    [200_000_000, "2 d ago"],
  ];
  for (const [ms, text] of cases) assert.equal(age(ms), text);
});
