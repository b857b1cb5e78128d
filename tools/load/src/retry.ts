import { ERRORS, ParleyError } from '@parley/contracts';
import { setTimeout as sleep } from 'node:timers/promises';

/** The request may or may not have been carried out: the connection failed or no answer came in time. */
export class NoAnswer extends Error {
  constructor(what: string, cause: unknown) {
    super(`${what}: no answer (${cause instanceof Error ? cause.message : String(cause)})`, { cause });
    this.name = 'NoAnswer';
  }
}

export interface Backoff {
  readonly firstMs: number;
  readonly capMs: number;
  /** From 0 to 1; 0.5 is ± 50 %. */
  readonly jitter: number;
  readonly random: () => number;
}

/** The wait before attempt `attempt` (0 is the first repetition): first × 2ⁿ, capped, then jittered. */
export function backoffMs(backoff: Backoff, attempt: number): number {
  const base = Math.min(backoff.capMs, backoff.firstMs * 2 ** Math.min(attempt, 30));
  return base * (1 + backoff.jitter * (2 * backoff.random() - 1));
}

export function mayRepeat(error: unknown): boolean {
  return error instanceof NoAnswer || (error instanceof ParleyError && ERRORS[error.code].retryable);
}

export interface RetryOptions {
  /** No further attempt after this time from the first one. */
  readonly giveUpAfterMs?: number;
  readonly backoff?: Backoff;
  readonly signal?: AbortSignal;
}

const DEFAULT_BACKOFF: Backoff = { firstMs: 100, capMs: 2_000, jitter: 0.5, random: Math.random };

/** Repeats an idempotent request until it is answered, or refused for good. */
export async function untilAnswered<T>(request: () => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { giveUpAfterMs = 60_000, backoff = DEFAULT_BACKOFF, signal } = options;
  const startMs = performance.now();
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await request();
    } catch (error) {
      if (!mayRepeat(error) || performance.now() - startMs > giveUpAfterMs || signal?.aborted === true) throw error;
      await sleep(backoffMs(backoff, attempt));
    }
  }
}

/** Runs `work` over all items, at most `atOnce` at a time; answers in order, fails with the first failure. */
export async function mapBounded<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (!failed && next < items.length) {
      const index = next;
      next += 1;
      const item = items[index] as T;
      try {
        results[index] = await work(item, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}
