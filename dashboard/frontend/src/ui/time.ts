// Ages by the server's clock: <rel-time datetime="…"> says "3 s ago" and one timer keeps them all.

let ahead = 0; // milliseconds that the server's clock is ahead of this machine's

export function setServerClock(stamp: string): void {
  const offset = Date.parse(stamp) - Date.now();
  // A frame is late by its way, so only a clearly different clock moves the offset.
  if (Number.isFinite(offset) && Math.abs(offset - ahead) > 1_500) ahead = offset;
}

export function serverNow(): number {
  return Date.now() + ahead;
}

export function clockTime(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8); // a locale's formatter costs 50 ms to make
}

export function age(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 2) return "just now";
  if (s < 100) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 129_600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86_400)} d ago`;
}

class RelTime extends HTMLElement {
  static readonly observedAttributes = ["datetime"];

  connectedCallback(): void {
    shown.add(this);
    this.draw();
  }

  disconnectedCallback(): void {
    shown.delete(this);
  }

  attributeChangedCallback(): void {
    if (this.isConnected) this.draw();
  }

  draw(): void {
    const at = Date.parse(this.getAttribute("datetime") ?? "");
    if (!Number.isFinite(at)) {
      if (this.textContent) this.textContent = "";
      return;
    }
    const text = age(serverNow() - at);
    if (this.textContent !== text) this.textContent = text;
    const exact = new Date(at).toISOString();
    if (this.title !== exact) this.title = exact;
  }
}

const shown = new Set<RelTime>();

export function define(): void {
  const rendered = document.documentElement.dataset.now;
  if (rendered && performance.now() < 10_000) setServerClock(rendered);
  customElements.define("rel-time", RelTime);
  setInterval(() => {
    for (const element of shown) element.draw();
  }, 1000);
}
