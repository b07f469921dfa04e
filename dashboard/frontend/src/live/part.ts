// <live-part data-url data-on="kinds">: a piece of a page that the server draws, and draws again
// whenever one of its kinds happens. Morphed, so that focus and open details stay.

import htmx from "htmx.org";
import type { Frame } from "./link";
import { onPoll } from "./root";

const GAP_MS = 250; // between two fetches of one part, however many events; data-gap for a dear one
const LIMIT_MS = 8_000;

class LivePart extends HTMLElement {
  private unregister: (() => void) | null = null;
  private running: Promise<boolean> | null = null;
  private again = false;
  private readonly heard = (event: Event) => {
    const { kind, data } = (event as CustomEvent<Frame>).detail;
    if (!(this.dataset.on ?? "").split(" ").includes(kind)) return;
    const { instance } = this.dataset; // of an instance's page, which other instances do not change
    if (instance && kind.startsWith("instance.") && (data as { id?: string }).id !== instance)
      return;
    void this.refetch();
  };

  connectedCallback(): void {
    document.addEventListener("live:frame", this.heard);
    this.unregister = onPoll(() => this.refetch());
  }

  disconnectedCallback(): void {
    document.removeEventListener("live:frame", this.heard);
    this.unregister?.();
  }

  // True when the server answered. Calls during a fetch share one further fetch.
  refetch(): Promise<boolean> {
    if (this.running) {
      this.again = true;
      return this.running;
    }
    this.running = this.rounds().finally(() => {
      this.running = null;
    });
    return this.running;
  }

  private async rounds(): Promise<boolean> {
    let answered: boolean;
    do {
      this.again = false;
      answered = await this.fetchOnce();
      const gap = Number(this.dataset.gap ?? GAP_MS);
      await new Promise((done) => setTimeout(done, gap));
    } while (this.again && this.isConnected);
    return answered;
  }

  private async fetchOnce(): Promise<boolean> {
    const text = await fetchPart(this.dataset.url ?? "");
    this.toggleAttribute("data-stale", text === null);
    if (text === null) return false;
    await htmx.swap({ text, target: this, sourceElement: this, swap: "outerMorph" });
    return true;
  }
}

export async function fetchPart(url: string): Promise<string | null> {
  try {
    const answer = await fetch(url, {
      headers: { "X-Part": "1" },
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    return answer.ok && !answer.redirected ? await answer.text() : null;
  } catch {
    return null; // the badge says that the server is away; the next event or poll asks again
  }
}

export function define(): void {
  customElements.define("live-part", LivePart);
}
