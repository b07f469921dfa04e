import assert from "node:assert/strict";
import { test } from "node:test";
import { post, turnOf } from "../src/editor/turns";

const PLAIN = { ctrlKey: false, metaKey: false, shiftKey: false, altKey: false };

test("the keys that editors use for undo and redo", () => {
  assert.equal(turnOf({ ...PLAIN, key: "z", ctrlKey: true }), "undo");
  assert.equal(turnOf({ ...PLAIN, key: "Z", metaKey: true, shiftKey: true }), "redo");
  assert.equal(turnOf({ ...PLAIN, key: "y", ctrlKey: true }), "redo");
  assert.equal(turnOf({ ...PLAIN, key: "z" }), null);
  assert.equal(turnOf({ ...PLAIN, key: "z", ctrlKey: true, altKey: true }), null);
  assert.equal(turnOf({ ...PLAIN, key: "a", ctrlKey: true }), null);
});

function answering(status: number, body: unknown): Request[] {
  const asked: Request[] = [];
  globalThis.document = { cookie: "csrftoken=abc" } as Document;
  globalThis.fetch = (async (url: string, init: RequestInit) => {
    asked.push(new Request(`http://x${url}`, { ...init, signal: null }));
    return new Response(JSON.stringify(body), { status });
  }) as typeof fetch;
  return asked;
}

test("an act is sent with the version that was seen", async () => {
  const asked = answering(200, {});
  assert.deepEqual(await post("/draft/undo", { keep: [] }, 7), { kind: "done" });
  assert.equal(asked[0]?.headers.get("If-Match"), '"7"');
  assert.equal(asked[0]?.headers.get("X-CSRFToken"), "abc");
  assert.equal(await asked[0]?.text(), '{"keep":[]}');
});

test("what another changed since is told apart from what cannot be", async () => {
  answering(412, { detail: "ben changed A." });
  assert.deepEqual(await post("/draft/undo", {}, 7), { kind: "stale", problem: "ben changed A." });
  answering(409, { detail: "Nothing to undo." });
  assert.deepEqual(await post("/draft/undo", {}, 7), {
    kind: "refused",
    problem: "Nothing to undo.",
  });
});

test("a server that does not answer is a refusal that says so", async () => {
  globalThis.document = { cookie: "csrftoken=abc" } as Document;
  globalThis.fetch = (async () => {
    throw new TypeError("no route");
  }) as typeof fetch;
  const answer = await post("/draft/undo", {}, 7);
  assert.equal(answer.kind, "refused");
});
