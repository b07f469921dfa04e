// A clock and timers that a test moves by hand.

type Timer = { id: number; at: number; run: () => void };

export class Clock {
  ms = 1_000_000;
  private timers: Timer[] = [];
  private next = 1;

  now = (): number => this.ms;

  after = (ms: number, run: () => void): number => {
    this.timers.push({ id: this.next, at: this.ms + ms, run });
    return this.next++;
  };

  cancel = (id: number): void => {
    this.timers = this.timers.filter((timer) => timer.id !== id);
  };

  // Move on, run what is due in its order, and let promises settle in between.
  async pass(ms: number): Promise<void> {
    const end = this.ms + ms;
    for (;;) {
      const due = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.ms = Math.max(this.ms, due.at);
      this.cancel(due.id);
      due.run();
      await settle();
    }
    this.ms = end;
    await settle();
  }
}

export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}
