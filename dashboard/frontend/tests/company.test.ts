import assert from "node:assert/strict";
import { test } from "node:test";
import { byKey, peopleOf, sentence } from "../src/editor/company";

const PEOPLE = [
  { name: "ann", keys: [] },
  { name: "ben", keys: ["HOST", "POOL"] },
  { name: "mia", keys: ["POOL"] },
];

test("the bar names everybody else with the keys they are in", () => {
  assert.equal(
    sentence(PEOPLE, "ann"),
    "Also here: you in another tab; ben at HOST, POOL; mia at POOL",
  );
  assert.equal(sentence([], "ann"), "");
});

test("a key names everybody who is in it", () => {
  const there = byKey(PEOPLE, "mia");
  assert.equal(there.get("POOL"), "ben, You, in another tab: here now");
  assert.equal(there.get("HOST"), "ben: here now");
  assert.equal(there.get("OTHER"), undefined);
});

test("a frame without people is nobody", () => {
  assert.deepEqual(peopleOf({ kind: "presence", position: 1 }), []);
});
