import type { BucketSpec, RateLimiter, Taken } from './rate-limiter.js';

export interface InProcessRateLimiterConfig {
  /** Buckets in memory; beyond, the longest unused is forgotten, which means that it is full again. */
  readonly maxKeys?: number;
  /** Milliseconds of a clock that does not go back. */
  readonly nowMs?: () => number;
}

const MAX_KEYS = 100_000;
const TAKEN: Taken = Object.freeze({ ok: true });

interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** Token buckets in this process. A map keeps the order of insertion, so the longest unused bucket is its first. */
export class InProcessRateLimiter implements RateLimiter {
  readonly #maxKeys: number;
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(config: InProcessRateLimiterConfig = {}) {
    this.#maxKeys = config.maxKeys ?? MAX_KEYS;
    this.#nowMs = config.nowMs ?? (() => performance.now());
  }

  /** More tokens than the bucket holds are taken when it is full: a large request is slow, not impossible. */
  take(key: string, spec: BucketSpec, tokens = 1): Taken {
    const nowMs = this.#nowMs();
    const available = this.#availableAt(nowMs, key, spec);
    const cost = Math.min(tokens, spec.burst);
    const taken = answer(available, cost, spec);
    // Anew, so that it is the last to be forgotten.
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: taken.ok ? available - cost : available, atMs: nowMs });
    this.#forgetBeyondBound();
    return taken;
  }

  check(key: string, spec: BucketSpec): Taken {
    return answer(this.#availableAt(this.#nowMs(), key, spec), Math.min(1, spec.burst), spec);
  }

  #availableAt(nowMs: number, key: string, { perSecond, burst }: BucketSpec): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return burst;
    return Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / 1_000);
  }

  #forgetBeyondBound(): void {
    if (this.#buckets.size <= this.#maxKeys) return;
    for (const longestUnused of this.#buckets.keys()) {
      this.#buckets.delete(longestUnused);
      break;
    }
  }
}

function answer(available: number, cost: number, { perSecond }: BucketSpec): Taken {
  if (available >= cost) return TAKEN;
  return { ok: false, retryAfterMs: Math.ceil(((cost - available) * 1_000) / perSecond) };
}
