import assert from "node:assert/strict";
import { test } from "node:test";
import { type Frame, HERE_MS, Link, type LinkState, type Socket } from "../src/live/link";
import { Clock } from "./world";

class FakeSocket implements Socket {
  sent: string[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {
    this.closed = true;
  }
  hear(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  greet(position = 0): void {
    this.onopen?.();
    this.hear({ kind: "heartbeat", position });
  }
}

function page(position = 0, pollAnswers = true) {
  const clock = new Clock();
  const sockets: FakeSocket[] = [];
  const frames: Frame[] = [];
  const states: LinkState[] = [];
  let polls = 0;
  const link = new Link(
    {
      open: () => {
        const socket = new FakeSocket();
        sockets.push(socket);
        return socket;
      },
      now: clock.now,
      random: () => 1,
      after: clock.after,
      cancel: clock.cancel,
      frame: (frame) => frames.push(frame),
      state: (state) => states.push(state),
      poll: async () => {
        polls += 1;
        return pollAnswers;
      },
    },
    ["scope.1"],
    position,
  );
  link.start();
  const last = () => sockets.at(-1) as FakeSocket;
  return { clock, sockets, frames, states, link, last, polls: () => polls };
}

test("it is live only after a heartbeat, not after opening", () => {
  const { link, last } = page();
  last().onopen?.();
  assert.equal(link.state, "connecting");
  last().hear({ kind: "heartbeat", position: 0 });
  assert.equal(link.state, "live");
});

test("it asks from the position of its page, and each event is handed on once and in order", () => {
  const { frames, last, link } = page(7);
  last().onopen?.();
  assert.deepEqual(JSON.parse(last().sent[0] ?? ""), { subscribe: ["scope.1"], position: 7 });
  for (const position of [8, 9, 9, 8, 10]) last().hear({ kind: "instance.changed", position });
  assert.deepEqual(
    frames.map((frame) => frame.position),
    [8, 9, 10],
  );
  assert.equal(link.position, 10);
});

test("after a hard close it says so at once and comes back from where it stood", async () => {
  const { clock, sockets, last, link } = page();
  last().greet();
  last().hear({ kind: "instance.changed", position: 3 });
  last().onclose?.({ code: 1006 });
  assert.equal(link.state, "reconnecting");
  await clock.pass(600);
  assert.equal(sockets.length, 2);
  last().onopen?.();
  assert.equal(JSON.parse(last().sent[0] ?? "").position, 3);
  last().hear({ kind: "heartbeat", position: 3 });
  assert.equal(link.state, "live");
});

test("silence is noticed within 16 seconds", async () => {
  const { clock, last, link } = page();
  last().greet();
  await clock.pass(13_000);
  assert.equal(link.state, "live");
  await clock.pass(3_000);
  assert.notEqual(link.state, "live");
});

test("a heartbeat that is ahead of the page makes it ask again instead of being believed", () => {
  const { last, link, frames } = page();
  last().greet();
  last().hear({ kind: "heartbeat", position: 5 });
  assert.equal(JSON.parse(last().sent.at(-1) ?? "").position, 0);
  assert.equal(frames.length, 1);
  last().hear({ kind: "instance.changed", position: 5 });
  last().hear({ kind: "heartbeat", position: 5 });
  assert.equal(link.position, 5);
});

test("three refused handshakes turn to polling, and a socket that works ends it", async () => {
  const { clock, last, link, polls, sockets } = page();
  for (let turn = 0; turn < 3; turn++) {
    last().onclose?.({ code: 1006 });
    if (turn < 2) await clock.pass(5_000);
  }
  await clock.pass(100);
  assert.equal(link.state, "polling");
  assert.equal(polls(), 1);
  await clock.pass(5_000);
  assert.ok(sockets.length >= 4, "it goes on trying sockets");
  const before = polls();
  last().greet();
  await clock.pass(10_000);
  assert.equal(polls(), before);
  assert.equal(link.state, "live");
});

test("polling that is not answered is not called polling", async () => {
  const { clock, last, link } = page(0, false);
  for (let turn = 0; turn < 3; turn++) {
    last().onclose?.({ code: 1006 });
    await clock.pass(4_000);
  }
  assert.equal(link.state, "reconnecting");
});

test("a session that ended is not tried again", async () => {
  const { clock, last, link, sockets } = page();
  last().greet();
  last().onclose?.({ code: 4401 });
  await clock.pass(60_000);
  assert.equal(link.state, "ended");
  assert.equal(sockets.length, 1);
});

test("a probe that nothing answers counts as a lost socket within three seconds", async () => {
  const { clock, last, link } = page();
  last().greet();
  link.probe();
  await clock.pass(3_100);
  assert.notEqual(link.state, "live");
});

test("a probe of a page that waits for its next try connects at once", () => {
  const { last, link, sockets } = page();
  last().greet();
  last().onclose?.({ code: 1006 });
  link.probe();
  assert.equal(sockets.length, 2);
});

test("rubbish on the socket is no frame", () => {
  const { last, frames, link } = page();
  last().greet();
  last().onmessage?.({ data: "{" });
  last().onmessage?.({ data: JSON.stringify({ kind: 3, position: "x" }) });
  assert.equal(frames.length, 1);
  assert.equal(link.state, "live");
});

test("where the page is, is said once it is live, and again after each connecting", async () => {
  const { clock, sockets, link, last } = page();
  link.be("scope.1", null);
  assert.deepEqual(last().sent, []);
  last().greet();
  assert.equal(last().sent.at(-1), '{"here":"scope.1","key":null}');

  last().onclose?.({ code: 1006 });
  await clock.pass(6_000);
  assert.equal(sockets.length, 2);
  last().greet();
  assert.equal(last().sent.at(-1), '{"here":"scope.1","key":null}');
});

test("a hurried way through keys is said once, with where it ended", async () => {
  const { clock, link, last } = page();
  last().greet();
  const before = last().sent.length;
  for (const key of ["A", "B", "C"]) link.be("scope.1", key);
  await clock.pass(HERE_MS);
  assert.deepEqual(last().sent.slice(before), ['{"here":"scope.1","key":"C"}']);
});

test("presence is handed on whatever its position, and moves none", () => {
  const { frames, link, last } = page(9);
  last().greet(9);
  last().hear({ kind: "presence", position: 3, stream: "scope.1", people: [] });
  assert.equal(frames.at(-1)?.kind, "presence");
  assert.equal(link.position, 9);
});
