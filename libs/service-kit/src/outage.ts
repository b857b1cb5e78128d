import { isUnavailable } from '@parley/contracts';

import type { Clock } from './clock.js';

/** After an outage was last met, what there is instead is still given while one call tries; beyond, it may be too old. */
const ON_RECORD_MS = 5_000;

/**
 * Remembers for a moment that something is away, so that not every call waits for its deadline to find out again. After
 * that moment one call tries it, behind the back of whoever asked: what is frozen takes the whole deadline to say nothing.
 */
export class Outage {
  #untilMs = 0;
  #metAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly forMs = 1_000,
  ) {}

  get known(): boolean {
    return this.clock.now() < this.#untilMs;
  }

  /** It was met within this time; what is back may not have everything again yet. */
  metWithin(ms: number): boolean {
    return this.clock.now() < this.#metAtMs + ms;
  }

  began(): void {
    this.#metAtMs = this.clock.now();
    this.#untilMs = this.#metAtMs + this.forMs;
  }

  ended(): void {
    this.#metAtMs = Number.NEGATIVE_INFINITY;
    this.#untilMs = 0;
  }

  /** What `ask` answers; while that is away, what there is `instead`, or its refusal where that is undefined. */
  async or<T>(ask: () => Promise<T>, instead: () => T | undefined | Promise<T | undefined>): Promise<T> {
    if (this.metWithin(ON_RECORD_MS)) {
      const known = await instead();
      if (known !== undefined) {
        if (!this.known) this.#try(ask);
        return known;
      }
    }
    try {
      return await this.noted(ask);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      const known = await instead();
      if (known === undefined) throw error;
      return known;
    }
  }

  /** What `ask` answers or refuses; either tells whether there is an outage. */
  async noted<T>(ask: () => Promise<T>): Promise<T> {
    try {
      const answer = await ask();
      this.ended();
      return answer;
    } catch (error) {
      if (isUnavailable(error)) this.began();
      throw error;
    }
  }

  /** Meanwhile nobody else does. */
  #try(ask: () => Promise<unknown>): void {
    this.#untilMs = this.clock.now() + this.forMs;
    this.noted(ask).catch((error: unknown) => {
      // It has answered, and whoever asks next is told what.
      if (!isUnavailable(error)) this.ended();
    });
  }
}
