// <live-root data-streams="scope.4 catalog" data-position="17">: the badge in the top bar and the
// tab's one socket. Frames travel on as `live:frame` events of the document.

import { clockTime, serverNow, setServerClock } from "../ui/time";
import { type Frame, Link, type LinkState } from "./link";

const words: Record<LinkState, (asOf: string) => string> = {
  connecting: () => "Connecting…",
  live: () => "Live",
  reconnecting: (asOf) => `Reconnecting… data as of ${asOf}`,
  polling: (asOf) => `Asking every 5 s, as of ${asOf}`,
  ended: () => "Signed out. Sign in again",
};

type Stats = { frames: number; delays: number[] };
declare global {
  interface Window {
    confhubLive?: { position(): number; state(): LinkState; stats: Stats };
  }
}

const pollers = new Set<() => Promise<boolean>>();

// Elements that show live rows register how they are drawn anew.
export function onPoll(refetch: () => Promise<boolean>): () => void {
  pollers.add(refetch);
  return () => pollers.delete(refetch);
}

export async function refetchAll(): Promise<boolean> {
  const answers = await Promise.all([...pollers].map((refetch) => refetch()));
  return answers.every(Boolean);
}

let place: [string, string | null] | null = null;
let running: Link | null = null;

// The page has the draft of a stream open, at a key. An element may say so before the socket is there.
export function be(stream: string, key: string | null): void {
  place = [stream, key];
  running?.be(stream, key);
}

class LiveRoot extends HTMLElement {
  private link: Link | null = null;
  private stats: Stats = { frames: 0, delays: [] };
  private readonly wake = () => {
    if (document.visibilityState === "visible") this.link?.probe();
  };

  connectedCallback(): void {
    const streams = (this.dataset.streams ?? "").split(" ").filter(Boolean);
    if (!streams.length) return;
    const address = new URL("/ws/live/", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.link = new Link(
      {
        open: () => new WebSocket(address) as unknown as ReturnType<() => never>,
        now: () => Date.now(),
        random: Math.random,
        after: (ms, run) => window.setTimeout(run, ms),
        cancel: (timer) => window.clearTimeout(timer),
        frame: (frame) => this.hand(frame),
        state: (state, heardAt) => this.show(state, heardAt),
        poll: refetchAll,
      },
      streams,
      Number(this.dataset.position ?? 0),
    );
    document.addEventListener("visibilitychange", this.wake);
    window.addEventListener("online", this.wake);
    window.addEventListener("offline", this.wake);
    window.addEventListener("pageshow", this.wake);
    window.confhubLive = {
      position: () => this.link?.position ?? 0,
      state: () => this.link?.state ?? "ended",
      stats: this.stats,
    };
    this.show("connecting", Date.now());
    running = this.link;
    if (place) this.link.be(...place);
    this.link.start();
  }

  disconnectedCallback(): void {
    this.link?.stop();
    running = null;
    document.removeEventListener("visibilitychange", this.wake);
    window.removeEventListener("online", this.wake);
    window.removeEventListener("offline", this.wake);
    window.removeEventListener("pageshow", this.wake);
  }

  private hand(frame: Frame): void {
    if (frame.ts) setServerClock(frame.ts);
    this.stats.frames += 1;
    if (frame.ts && frame.kind !== "heartbeat") {
      const sentAt = Date.parse(frame.ts);
      requestAnimationFrame(() => {
        this.stats.delays.push(Date.now() - sentAt);
        if (this.stats.delays.length > 500) this.stats.delays.shift();
      });
    }
    document.dispatchEvent(new CustomEvent<Frame>("live:frame", { detail: frame }));
    if (frame.kind === "reload-snapshot") void refetchAll();
  }

  private show(state: LinkState, heardAt: number): void {
    const asOf = clockTime(serverNow() - (Date.now() - heardAt));
    const text = words[state](asOf);
    if (this.dataset.state === state && this.textContent === text) return;
    this.dataset.state = state;
    if (state === "ended") {
      const link = document.createElement("a");
      link.href = location.href;
      link.textContent = text;
      this.replaceChildren(link);
    } else {
      this.textContent = text;
    }
    document.documentElement.dataset.live = state;
    document.dispatchEvent(new CustomEvent("live:state", { detail: state }));
  }
}

export function define(): void {
  customElements.define("live-root", LiveRoot);
}
