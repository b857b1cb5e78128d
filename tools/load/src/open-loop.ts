import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

export interface OpenLoop {
  readonly ratePerSecond: number;
  readonly durationMs: number;
  /** Called once per arrival, with the time (of `performance.now()`) at which it was due. */
  fire(index: number, dueMs: number): void;
  readonly signal?: AbortSignal;
  /**
   * Waits by timers alone: arrivals are up to a millisecond late, and the generator does not keep a core busy that the
   * servers need.
   */
  readonly sparing?: boolean;
}

/** A timer may be this late; nearer arrivals are waited for by turning the event loop. */
const TIMER_SLACK_MS = 2;

/**
 * Fires arrivals at times that are fixed before the first one: what a slow server delays is not forgiven, because an
 * arrival that is late is fired at once with the time at which it was due. Answers the number fired.
 */
export async function openLoop(loop: OpenLoop): Promise<number> {
  const startMs = performance.now();
  const total = Math.round((loop.ratePerSecond * loop.durationMs) / 1_000);
  const gapMs = 1_000 / loop.ratePerSecond;
  let next = 0;
  while (next < total && loop.signal?.aborted !== true) {
    const now = performance.now();
    while (next < total && startMs + next * gapMs <= now) {
      loop.fire(next, startMs + next * gapMs);
      next += 1;
    }
    const waitMs = startMs + next * gapMs - performance.now();
    if (loop.sparing === true) await sleep(Math.max(1, Math.floor(waitMs)));
    else if (waitMs > TIMER_SLACK_MS) await sleep(Math.floor(waitMs - TIMER_SLACK_MS) + 1);
    else await nextTurn();
  }
  return next;
}
