import { isPassing } from '@parley/contracts';

/** Resolves after the time, or as soon as the signal aborts. */
export type Pause = (ms: number, signal: AbortSignal) => Promise<void>;

export interface RetryPolicy {
  /** Attempts at a batch before its records are tried one by one. */
  readonly attempts: number;
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
  /** Between attempts while the sink is away. */
  readonly maxAwayPauseMs: number;
  readonly pause: Pause;
}

export const DEFAULT_ATTEMPTS = 5;
export const DEFAULT_MAX_BATCH = 500;
export const RETRY_PAUSES = { firstPauseMs: 100, maxPauseMs: 5_000, maxAwayPauseMs: 2_000 } as const;

export type Attempt =
  | { readonly kind: 'handled' }
  | { readonly kind: 'threw'; readonly error: unknown }
  /** Nobody is left to handle it. */
  | { readonly kind: 'stopped' };

export interface HandleOptions<R> {
  readonly attempt: (batch: readonly R[]) => Promise<Attempt>;
  readonly retry: RetryPolicy;
  readonly stopped: AbortSignal;
  /** Takes what no attempt got through; where it cannot, it rejects, and is asked again. */
  readonly deadLetter: (record: R, error: unknown) => void | Promise<void>;
  /** Called in order, once a record was handled or became a dead letter. */
  readonly done: (record: R) => void;
}

/**
 * Hands a batch to its handler until every record of it is done with, in order. What throws is tried again, then one by
 * one, then made a dead letter. A store that is away is no fault of the record: that is tried until it is back.
 * Says whether everything is done; `false` when stopped before.
 */
export async function handleInOrder<R>(batch: readonly R[], options: HandleOptions<R>): Promise<boolean> {
  const outcome = await attemptWithRetries(batch, options, options.retry.attempts);
  switch (outcome.kind) {
    case 'handled':
      for (const record of batch) options.done(record);
      return true;
    case 'stopped':
      return false;
    case 'threw':
      if (batch.length === 1) return bury(batch, options, outcome.error);
      // One bad record must not take the others of its batch with it.
      for (const record of batch) {
        const alone = await attemptWithRetries([record], options, 1);
        if (alone.kind === 'stopped') return false;
        if (alone.kind === 'handled') options.done(record);
        else if (!(await bury([record], options, alone.error))) return false;
      }
      return true;
  }
}

async function attemptWithRetries<R>(
  batch: readonly R[],
  { attempt, retry, stopped }: HandleOptions<R>,
  attempts: number,
): Promise<Attempt> {
  let failed = 0;
  let away = 0;
  for (;;) {
    const outcome = await attempt(batch);
    if (outcome.kind !== 'threw') return outcome;
    if (isPassing(outcome.error)) {
      away += 1;
      await retry.pause(Math.min(backoff(retry.firstPauseMs, away), retry.maxAwayPauseMs), stopped);
    } else {
      failed += 1;
      away = 0;
      if (failed >= attempts) return outcome;
      await retry.pause(Math.min(backoff(retry.firstPauseMs, failed), retry.maxPauseMs), stopped);
    }
    if (stopped.aborted) return { kind: 'stopped' };
  }
}

async function bury<R>(batch: readonly R[], options: HandleOptions<R>, error: unknown): Promise<boolean> {
  const { deadLetter, done, retry, stopped } = options;
  for (const record of batch) {
    const attempt = async (): Promise<Attempt> => {
      try {
        await deadLetter(record, error);
        return { kind: 'handled' };
      } catch (failure) {
        return { kind: 'threw', error: failure };
      }
    };
    // A dead letter that is lost would be a lost record: whatever refuses it, it is offered again.
    for (let made = 1; (await attempt()).kind !== 'handled'; made += 1) {
      await retry.pause(Math.min(backoff(retry.firstPauseMs, made), retry.maxAwayPauseMs), stopped);
      if (stopped.aborted) return false;
    }
    done(record);
  }
  return true;
}

function backoff(firstMs: number, made: number): number {
  return firstMs * 2 ** Math.min(made - 1, 16);
}
