const FIRST_DELAY_MS = 1_000;
/** With its jitter on top, nobody waits longer than 60 s. */
const LAST_DELAY_MS = 40_000;

/** A time of `ms`, ± 50 %: whoever was sent away at once does not come back at once. `random` is uniform in [0, 1). */
export function spreadMs(ms: number, random: () => number): number {
  return Math.round(ms * (0.5 + random()));
}

/**
 * How long a client waits before it tries to connect for the `attempt`-th time (0 is the first after the connection was
 * lost): 1 s × 2ⁿ, ± 50 %, at most 60 s. The jitter is of every attempt, the first included: a server's clients lose it
 * in the same moment. It only gives up on an authentication failure; where a refusal names a time to retry, it waits that
 * long if that is longer.
 */
export function reconnectDelayMs(attempt: number, random: () => number): number {
  return spreadMs(Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt), random);
}
