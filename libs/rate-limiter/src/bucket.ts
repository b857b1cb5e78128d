import type { BucketSpec, Taken } from './rate-limiter.js';

export interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

const TAKEN: Taken = Object.freeze({ ok: true });

/** What is in the bucket now; a bucket that is not known is full. */
export function available(bucket: Bucket | undefined, nowMs: number, { perSecond, burst }: BucketSpec): number {
  if (bucket === undefined) return burst;
  return Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / 1_000);
}

export function answer(tokens: number, cost: number, { perSecond }: BucketSpec): Taken {
  if (tokens >= cost) return TAKEN;
  return { ok: false, retryAfterMs: Math.ceil(((cost - tokens) * 1_000) / perSecond) };
}

/** A map keeps the order of insertion: its first is the longest unused where each use inserts anew. */
export function forgetBeyond<T>(buckets: Map<string, T>, maxKeys: number): void {
  for (const longestUnused of buckets.keys()) {
    if (buckets.size <= maxKeys) return;
    buckets.delete(longestUnused);
  }
}
