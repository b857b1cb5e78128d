import { answer, available, type Bucket, forgetBeyond } from './bucket.js';
import type { BucketSpec, RateLimiter, Taken } from './rate-limiter.js';

export interface InProcessRateLimiterConfig {
  /** Buckets in memory; beyond, the longest unused is forgotten, which means that it is full again. */
  readonly maxKeys?: number;
  /** Milliseconds of a clock that does not go back. */
  readonly nowMs?: () => number;
}

export const MAX_KEYS = 100_000;

/** Token buckets in this process. */
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
    const left = available(this.#buckets.get(key), nowMs, spec);
    const cost = Math.min(tokens, spec.burst);
    const taken = answer(left, cost, spec);
    // Anew, so that it is the last to be forgotten.
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: taken.ok ? left - cost : left, atMs: nowMs });
    forgetBeyond(this.#buckets, this.#maxKeys);
    return taken;
  }

  check(key: string, spec: BucketSpec): Taken {
    return answer(available(this.#buckets.get(key), this.#nowMs(), spec), Math.min(1, spec.burst), spec);
  }

  async close(): Promise<void> {
    this.#buckets.clear();
  }
}
