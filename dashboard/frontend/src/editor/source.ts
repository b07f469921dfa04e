// The newest model from the server; calls during a fetch share one further fetch.

import type { Model } from "./model";

const GAP_MS = 250;
const LIMIT_MS = 8_000;

export class Source {
  private running: Promise<boolean> | null = null;
  private again = false;

  constructor(
    private readonly url: string,
    private readonly take: (model: Model) => void,
  ) {}

  // True when the server answered.
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
    let answered = await this.once();
    while (this.again) {
      this.again = false;
      await new Promise((done) => setTimeout(done, GAP_MS));
      answered = await this.once();
    }
    return answered;
  }

  private async once(): Promise<boolean> {
    try {
      const answer = await fetch(this.url, {
        headers: { "X-Part": "1" },
        signal: AbortSignal.timeout(LIMIT_MS),
      });
      if (!answer.ok) return false;
      this.take((await answer.json()) as Model);
      return true;
    } catch {
      return false; // the badge says so
    }
  }
}
