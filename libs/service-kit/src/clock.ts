/** Time and timers, passed in so that tests decide what time it is. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back every `intervalMs`; does not keep the process alive. */
  every(intervalMs: number, callback: () => void): Timer;
  /** Calls back once; does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  every(intervalMs, callback) {
    const handle = setInterval(callback, intervalMs);
    handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** A clock that moves only when told to; timers fire in order of their time. */
export class ManualClock implements Clock {
  #now: number;
  readonly #timers = new Set<{ at: number; readonly intervalMs: number | null; readonly callback: () => void }>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  every(intervalMs: number, callback: () => void): Timer {
    return this.#add({ at: this.#now + intervalMs, intervalMs, callback });
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#add({ at: this.#now + delayMs, intervalMs: null, callback });
  }

  advance(byMs: number): void {
    const end = this.#now + byMs;
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#now = next.at;
      if (next.intervalMs === null) this.#timers.delete(next);
      else next.at += next.intervalMs;
      next.callback();
    }
    this.#now = end;
  }

  #add(timer: { at: number; readonly intervalMs: number | null; readonly callback: () => void }): Timer {
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }
}
