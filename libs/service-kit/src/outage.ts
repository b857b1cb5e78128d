import { ParleyError } from '@parley/contracts';

import type { Clock } from './clock.js';

/**
 * Remembers for a moment that something is away, so that not every call waits for its deadline to find out again. The
 * first call after that moment tries it.
 */
export class Outage {
  #untilMs = 0;

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly forMs = 1_000,
  ) {}

  get known(): boolean {
    return this.clock.now() < this.#untilMs;
  }

  began(): void {
    this.#untilMs = this.clock.now() + this.forMs;
  }

  /** What `ask` answers; while that is away, what there is `instead`, or its refusal where that is undefined. */
  async or<T>(ask: () => Promise<T>, instead: () => T | undefined | Promise<T | undefined>): Promise<T> {
    if (this.known) {
      const known = await instead();
      if (known !== undefined) return known;
    }
    try {
      const answer = await ask();
      this.#untilMs = 0;
      return answer;
    } catch (error) {
      if (!(error instanceof ParleyError) || error.code !== 'unavailable') throw error;
      this.began();
      const known = await instead();
      if (known === undefined) throw error;
      return known;
    }
  }
}
