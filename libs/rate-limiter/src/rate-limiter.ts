/** A token bucket: `burst` tokens at most, refilled at `perSecond`. */
export interface BucketSpec {
  readonly perSecond: number;
  readonly burst: number;
}

export type Taken = { readonly ok: true } | { readonly ok: false; readonly retryAfterMs: number };

/**
 * Token buckets by key. Lossy by nature: a bucket that is forgotten (bound, restart) is a full one.
 *
 * `take` is synchronous where the adapter can be (embedded; a local share of a distributed bucket), so that the hot
 * path does not wait. A distributed bucket admits more than `burst + perSecond · t` only by what its adapter states, and
 * not more the longer it runs; when its server is away each process limits alone. Bounded: at most `maxKeys` buckets;
 * beyond, the longest unused are forgotten.
 */
export interface RateLimiter {
  take(key: string, spec: BucketSpec, tokens?: number): Taken;
  /** What `take` would answer, taking nothing. */
  check(key: string, spec: BucketSpec): Taken;
  close(): Promise<void>;
}
