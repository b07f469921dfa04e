import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, bodyOf, type KeyState, type Op, PAUSE_MS, Saver } from "../src/editor/saver";
import { Clock, settle } from "./world";

const set = (raw: string): Op => ({ act: "set", raw });

function draft(answers: (Answer | (() => Promise<Answer>))[]) {
  const clock = new Clock();
  const sent: { body: string; version: number }[] = [];
  const kept: [string, Op, number][] = [];
  const states: [string, KeyState["at"]][] = [];
  const saver = new Saver(
    async (body, version) => {
      sent.push({ body, version });
      const answer = answers.shift();
      if (!answer) throw new Error("asked once too often");
      return typeof answer === "function" ? await answer() : answer;
    },
    clock,
    (key, op, version) => kept.push([key, op, version]),
    (key, state) => states.push([key, state.at]),
  );
  return { clock, sent, kept, states, saver };
}

test("typing is saved 600 ms after the last keystroke, in one request", async () => {
  const { clock, sent, saver, kept } = draft([{ kind: "saved", version: 5 }]);
  saver.edit("A", set("1"), 4);
  await clock.pass(PAUSE_MS - 100);
  saver.edit("A", set("12"), 4);
  await clock.pass(PAUSE_MS - 1);
  assert.equal(sent.length, 0);
  assert.ok(saver.unsaved());
  await clock.pass(1);
  assert.deepEqual(sent, [{ body: '{"set":{"A":12},"unset":[],"revert":[]}', version: 4 }]);
  assert.deepEqual(kept, [["A", set("12"), 5]]);
  assert.ok(!saver.unsaved());
});

test("what is typed while a request is under way is sent afterwards, against the new version", async () => {
  let done: (answer: Answer) => void = () => {};
  const first = () => new Promise<Answer>((resolve) => (done = resolve));
  const { clock, sent, saver } = draft([first, { kind: "saved", version: 6 }]);
  saver.edit("A", set("1"), 4);
  await clock.pass(PAUSE_MS);
  saver.edit("A", set("2"), 4);
  await clock.pass(PAUSE_MS);
  assert.equal(sent.length, 1);
  done({ kind: "saved", version: 5 });
  await settle();
  await clock.pass(0);
  assert.deepEqual(sent[1], { body: '{"set":{"A":2},"unset":[],"revert":[]}', version: 5 });
  assert.ok(!saver.unsaved());
});

test("keys that were seen in different versions are sent each against its own", async () => {
  const { clock, sent, saver } = draft([
    { kind: "saved", version: 9 },
    { kind: "saved", version: 10 },
  ]);
  saver.edit("NEW", set("1"), 8);
  saver.edit("OLD", set("2"), 3);
  await clock.pass(PAUSE_MS);
  await clock.pass(10);
  assert.deepEqual(
    sent.map((each) => each.version),
    [3, 8],
  );
});

test("a conflict keeps what was typed until somebody decides; other keys go on", async () => {
  const { clock, sent, saver } = draft([
    { kind: "stale", version: 9, conflicts: { A: { by: "leo", removed: false } } },
    { kind: "saved", version: 10 },
    { kind: "saved", version: 11 },
  ]);
  saver.edit("A", set("1"), 4);
  saver.edit("B", set("2"), 4);
  await clock.pass(PAUSE_MS);
  await clock.pass(10);
  assert.equal(saver.get("A")?.at, "conflict");
  assert.equal(saver.get("B"), null);
  assert.equal(sent[1]?.body, '{"set":{"B":2},"unset":[],"revert":[]}');
  saver.useMine("A");
  await clock.pass(10);
  assert.deepEqual(sent[2], { body: '{"set":{"A":1},"unset":[],"revert":[]}', version: 9 });
});

test("a server that does not answer is asked again, and nothing counts as saved meanwhile", async () => {
  const lost: Answer = { kind: "unreached", problem: "no answer", again: true };
  const { clock, sent, saver } = draft([lost, lost, { kind: "saved", version: 5 }]);
  saver.edit("A", set("1"), 4);
  await clock.pass(PAUSE_MS);
  assert.equal(saver.get("A")?.at, "unreached");
  assert.ok(saver.unsaved());
  await clock.pass(1_000);
  await clock.pass(2_000);
  assert.equal(sent.length, 3);
  assert.ok(!saver.unsaved());
});

test("a refusal stands at its key, and the others are sent again without it", async () => {
  const { clock, sent, saver } = draft([
    { kind: "refused", problem: "no", fields: { A: "too long" } },
    { kind: "saved", version: 5 },
  ]);
  saver.edit("A", set("1"), 4);
  saver.edit("B", set("2"), 4);
  await clock.pass(PAUSE_MS);
  await clock.pass(10);
  assert.deepEqual(saver.get("A"), { at: "refused", problem: "too long" });
  assert.equal(sent[1]?.body, '{"set":{"B":2},"unset":[],"revert":[]}');
});

test("a request names keys to set, unset and put back, with values as they are", () => {
  const body = bodyOf(
    new Map<string, Op>([
      ["ID", set("12345678901234567890")],
      ["OLD", { act: "unset" }],
      ["BACK", { act: "revert" }],
    ]),
  );
  assert.equal(body, '{"set":{"ID":12345678901234567890},"unset":["OLD"],"revert":["BACK"]}');
});
