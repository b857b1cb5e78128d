import { ParleyError } from '@parley/contracts';

export interface GateBounds {
  /** What waits, for the refusals' texts. */
  readonly name: string;
  readonly inFlightMax: number;
  readonly queueMax: number;
  /** Nothing waits longer: a store that answers nothing must not collect those who ask. */
  readonly waitMaxMs: number;
}

interface Waiting {
  readonly start: () => void;
  readonly refuse: (error: ParleyError) => void;
  readonly timer: NodeJS.Timeout;
}

/** Lets so many calls through at once; some wait a while, the rest are refused with `overloaded`. */
export class Gate {
  readonly #bounds: GateBounds;
  readonly #waiting = new Set<Waiting>();
  #inFlight = 0;
  #closed = false;
  #idle: (() => void) | null = null;

  constructor(bounds: GateBounds) {
    this.#bounds = bounds;
  }

  async run<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closed) throw this.#closedError();
    if (this.#inFlight >= this.#bounds.inFlightMax) await this.#wait();
    else this.#inFlight += 1;
    try {
      return await call();
    } finally {
      this.#leave();
    }
  }

  /** Refuses what waits and what comes; resolves when nothing is in flight. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiting of this.#waiting) this.#remove(waiting).refuse(this.#closedError());
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /** The place of one that leaves passes to the longest waiting, so `inFlight` stays. */
  #leave(): void {
    const next: Waiting | undefined = this.#waiting.values().next().value;
    if (next !== undefined) {
      this.#remove(next).start();
      return;
    }
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#idle?.();
  }

  #wait(): Promise<void> {
    const { name, queueMax, waitMaxMs } = this.#bounds;
    const overloaded = (): ParleyError =>
      new ParleyError('overloaded', `Too many ${name} are waiting`, { retryAfterMs: 1_000 });
    if (this.#waiting.size >= queueMax) throw overloaded();
    return new Promise((start, refuse) => {
      const timer = setTimeout(() => this.#remove(waiting).refuse(overloaded()), waitMaxMs);
      const waiting: Waiting = { start, refuse, timer };
      this.#waiting.add(waiting);
    });
  }

  #remove(waiting: Waiting): Waiting {
    clearTimeout(waiting.timer);
    this.#waiting.delete(waiting);
    return waiting;
  }

  #closedError(): ParleyError {
    return new ParleyError('unavailable', 'The conversation log is closed');
  }
}

/** Runs a task for each item, at most `inFlightMax` at once; answers in order, or fails with the first that fails. */
export async function inParallel<T, R>(
  items: readonly T[],
  inFlightMax: number,
  task: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const queue = items.entries();
  let failed = false;
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (failed) return;
      try {
        results[index] = await task(item, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlightMax, items.length) }, lane));
  return results;
}
