import type { Frame } from "../live/link";
import { setText } from "../ui/dom";
import { age, clockTime, serverNow } from "../ui/time";

const STALE_MS = 60_000; // etcd is asked every 30 s, so a minute means that nobody asks

// <as-of data-at>: up to when etcd has proved that nothing is missing.
class AsOf extends HTMLElement {
  private timer = 0;
  private readonly heard = (event: Event) => {
    const frame = (event as CustomEvent<Frame>).detail;
    if (frame.kind !== "heartbeat") return;
    this.dataset.at = frame.as_of ?? "";
    this.draw();
  };

  connectedCallback(): void {
    document.addEventListener("live:frame", this.heard);
    this.timer = window.setInterval(() => this.draw(), 1000);
    this.draw();
  }

  disconnectedCallback(): void {
    document.removeEventListener("live:frame", this.heard);
    clearInterval(this.timer);
  }

  private draw(): void {
    const at = Date.parse(this.dataset.at ?? "");
    if (!Number.isFinite(at)) {
      this.dataset.tone = "lag";
      setText(this, "No worker has looked at etcd yet");
      return;
    }
    const ms = serverNow() - at;
    const stale = ms > STALE_MS;
    this.dataset.tone = stale ? "lag" : "off";
    const text = `As of ${clockTime(at)}, ${age(ms)}`;
    setText(this, stale ? `${text}: no worker looks at etcd` : text);
  }
}

export function define(): void {
  customElements.define("as-of", AsOf);
}
