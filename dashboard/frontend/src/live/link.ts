// One socket of one tab as a state machine: connects, follows, notices silence, comes back, and
// polls where sockets are refused. Knows no DOM, so that its clock and its socket can be a test's.

export type Frame = {
  kind: string;
  position: number;
  stream?: string;
  data?: unknown;
  ts?: string;
  as_of?: string | null;
  age_s?: number | null;
};

export type LinkState = "connecting" | "live" | "reconnecting" | "polling" | "ended";

export type Socket = {
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
};

export type World = {
  open(): Socket;
  now(): number; // milliseconds
  random(): number;
  after(ms: number, run: () => void): number;
  cancel(timer: number): void;
  frame(frame: Frame): void; // in order, each position once
  state(state: LinkState, heardAt: number): void;
  poll(): Promise<boolean>; // fetches the parts; false where the server did not answer
};

export const SILENCE_MS = 14_000; // three heartbeats of 5 s missed, told before 16 s are over
export const PROBE_MS = 3_000;
export const POLL_MS = 5_000;
export const OPEN_MS = 8_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5_000;
const REFUSED_RETRY_MS = 30_000; // sockets are refused, but polling works
export const HERE_MS = 1_000; // where the page is, is said at most this often
const POLL_AFTER = 3; // failures in a row

// Close codes of ours; docs/protocols/live.md.
const REFRESH = 4000;
const FINAL = new Set([4401, 4403]);

export class Link {
  state: LinkState = "connecting";
  heardAt: number;
  failures = 0;
  private socket: Socket | null = null;
  private greeted = false;
  private retry: number | null = null;
  private watch: number | null = null;
  private polling: number | null = null;
  private pollWorks = false;
  private place: { here: string; key: string | null } | null = null;
  private saying: number | null = null;

  constructor(
    private readonly world: World,
    private readonly streams: string[],
    public position: number,
  ) {
    this.heardAt = world.now();
  }

  start(): void {
    this.connect();
  }

  stop(): void {
    this.drop();
    this.unschedule();
    this.stopPolling();
    if (this.saying !== null) this.world.cancel(this.saying);
    this.saying = null;
  }

  // The tab came back or the network did: find out now, not at the next timer.
  probe(): void {
    if (this.state === "ended") return;
    if (this.socket && this.greeted) {
      this.socket.send(JSON.stringify({ probe: true }));
      this.expect(PROBE_MS);
      return;
    }
    if (!this.socket) {
      this.unschedule();
      this.connect();
    }
  }

  // The page has the draft of `here` open, at `key`. Said now or soon, and after each connecting.
  be(here: string, key: string | null): void {
    this.place = { here, key };
    if (this.saying !== null || !this.greeted) return;
    this.saying = this.world.after(HERE_MS, () => {
      this.saying = null;
      this.sayPlace();
    });
  }

  private sayPlace(): void {
    if (this.socket && this.greeted && this.place) this.socket.send(JSON.stringify(this.place));
  }

  private connect(): void {
    this.retry = null;
    const socket = this.world.open();
    this.socket = socket;
    this.greeted = false;
    this.expect(OPEN_MS);
    socket.onopen = () => {
      if (this.socket !== socket) return;
      socket.send(JSON.stringify({ subscribe: this.streams, position: this.position }));
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.hear(event.data);
    };
    socket.onclose = (event) => {
      if (this.socket === socket) this.lost(event.code);
    };
  }

  private hear(data: unknown): void {
    const frame = parse(data);
    if (!frame) return;
    this.heardAt = this.world.now();
    this.expect(SILENCE_MS);
    if (frame.kind === "presence") {
      this.world.frame(frame); // no event, so it has no position of its own
      return;
    }
    if (frame.kind === "heartbeat") {
      const isFirst = !this.greeted;
      this.greeted = true;
      if (isFirst) this.sayPlace();
      this.failures = 0;
      this.pollWorks = false;
      this.stopPolling();
      if (frame.position > this.position) {
        // It speaks of events that never came: ask again from where this page stands.
        this.socket?.send(JSON.stringify({ subscribe: this.streams, position: this.position }));
        return;
      }
      this.become("live");
      this.world.frame(frame);
      return;
    }
    if (frame.kind === "reload-snapshot") {
      this.position = frame.position; // lower than ours where the database was set back
      this.world.frame(frame);
      return;
    }
    if (frame.position <= this.position) return; // told before
    this.position = frame.position;
    this.world.frame(frame);
  }

  private lost(code: number): void {
    this.drop();
    if (FINAL.has(code)) {
      this.unschedule();
      this.stopPolling();
      this.become("ended");
      return;
    }
    if (!this.greeted || code !== REFRESH) this.failures += this.greeted ? 0 : 1;
    this.greeted = false;
    if (this.failures >= POLL_AFTER) this.startPolling();
    else this.become("reconnecting");
    this.schedule();
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    if (this.watch !== null) this.world.cancel(this.watch);
    this.watch = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private expect(ms: number): void {
    if (this.watch !== null) this.world.cancel(this.watch);
    this.watch = this.world.after(ms, () => this.lost(1006));
  }

  private schedule(): void {
    this.unschedule();
    this.retry = this.world.after(this.delay(), () => this.connect());
  }

  private unschedule(): void {
    if (this.retry !== null) this.world.cancel(this.retry);
    this.retry = null;
  }

  private delay(): number {
    const ceiling = this.pollWorks && this.failures > 12 ? REFUSED_RETRY_MS : LAST_RETRY_MS;
    const backoff = Math.min(ceiling, FIRST_RETRY_MS * 2 ** Math.min(this.failures, 6));
    return backoff * (0.5 + this.world.random() / 2);
  }

  private startPolling(): void {
    if (this.polling !== null) return;
    const round = async () => {
      const answered = await this.world.poll();
      if (this.polling === null) return; // the socket came back meanwhile
      this.pollWorks = answered;
      if (answered) this.heardAt = this.world.now();
      this.become(answered ? "polling" : "reconnecting");
      this.polling = this.world.after(POLL_MS, round);
    };
    this.become(this.pollWorks ? "polling" : "reconnecting");
    this.polling = this.world.after(0, round);
  }

  private stopPolling(): void {
    if (this.polling !== null) this.world.cancel(this.polling);
    this.polling = null;
  }

  private become(state: LinkState): void {
    this.state = state;
    this.world.state(state, this.heardAt);
  }
}

function parse(data: unknown): Frame | null {
  if (typeof data !== "string") return null;
  try {
    const frame: unknown = JSON.parse(data);
    if (typeof frame !== "object" || frame === null) return null;
    const { kind, position } = frame as Frame;
    return typeof kind === "string" && Number.isInteger(position) ? (frame as Frame) : null;
  } catch {
    return null;
  }
}
