import { monitorEventLoopDelay } from 'node:perf_hooks';

import type { Clock, Timer } from '@parley/service-kit';

import type { ChatConfig } from './config.js';

const SAMPLE_EVERY_MS = 500;
const RESOLUTION_MS = 20;

/** What may be refused, in the order in which it is: first what nobody misses, last what people say. */
export type Shed = 'lossy' | 'connections' | 'sends';

/**
 * How far this process is behind, as the mean delay of its event loop over the last half second. Acknowledged messages
 * are never shed.
 */
export class Load {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #delayMs = 0;
  #timer: Timer | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly config: Pick<
      ChatConfig,
      'PARLEY_SHED_LOSSY_AT_MS' | 'PARLEY_SHED_CONNECTIONS_AT_MS' | 'PARLEY_SHED_SENDS_AT_MS'
    >,
  ) {}

  start(): void {
    this.#histogram.enable();
    this.#timer = this.clock.every(SAMPLE_EVERY_MS, () => {
      this.observe(Math.max(0, this.#histogram.mean / 1e6 - RESOLUTION_MS));
      this.#histogram.reset();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#histogram.disable();
  }

  observe(delayMs: number): void {
    this.#delayMs = Number.isNaN(delayMs) ? 0 : delayMs;
  }

  sheds(what: Shed): boolean {
    switch (what) {
      case 'lossy':
        return this.#delayMs >= this.config.PARLEY_SHED_LOSSY_AT_MS;
      case 'connections':
        return this.#delayMs >= this.config.PARLEY_SHED_CONNECTIONS_AT_MS;
      case 'sends':
        return this.#delayMs >= this.config.PARLEY_SHED_SENDS_AT_MS;
    }
  }
}
