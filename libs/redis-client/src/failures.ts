import { ParleyError } from '@parley/contracts';

/** Answers of a server that is not able to serve now; every other error it answers is a bug of the caller. */
const PASSING = /^(LOADING|MASTERDOWN|CLUSTERDOWN|READONLY|NOREPLICAS|OOM|BUSY|TRYAGAIN|MOVED|ASK|MISCONF)\b/;
/** A command met a cluster whose slots are on the move: sent alone, it is led to where its slot is. */
export const REDIRECTED = /^(MOVED|ASK|TRYAGAIN)\b/;
export const NO_SCRIPT = /^NOSCRIPT\b/;

/** A failed call as its caller sees it: `unavailable` where the server is away, the error itself where we are wrong. */
export function failureOf(error: Error): Error {
  if (error instanceof ParleyError) return error;
  if (error.name === 'ReplyError' && !PASSING.test(error.message)) return error;
  return unavailable(error.message);
}

export function unavailable(why: string): ParleyError {
  return new ParleyError('unavailable', `Redis: ${why}`);
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/**
 * Rejects with `unavailable` when there is no answer in time. An answer that waits in the socket while this process was
 * too busy to read it is still taken: the timer looks again after the next poll for input.
 */
export function inTime<T>(answer: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      setImmediate(() => reject(unavailable(`no answer within ${Math.round(timeoutMs)} ms`)));
    }, timeoutMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
