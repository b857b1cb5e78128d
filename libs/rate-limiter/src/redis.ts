import { byShard, type RedisConnection, type Reply, script } from '@parley/redis-client';

import { answer, available, forgetBeyond } from './bucket.js';
import { MAX_KEYS } from './in-process.js';
import type { BucketSpec, RateLimiter, Taken } from './rate-limiter.js';

export interface RedisRateLimiterConfig {
  readonly redis: RedisConnection;
  /** Buckets in memory; beyond, the longest unused is forgotten here. */
  readonly maxKeys?: number;
  /** How long a process goes without telling the others what it took. */
  readonly syncEveryMs?: number;
  /** Milliseconds of a clock that does not go back. */
  readonly nowMs?: () => number;
  /** A process that cannot tell the others limits alone. */
  readonly onAlone?: (error: unknown) => void;
}

const SYNC_EVERY_MS = 150;
/** Keys in one round; the others wait for the next. */
const KEYS_PER_ROUND = 10_000;
/** Keys that wait for a round; beyond, a key is told with a later use. */
const TOUCHED_MAX = 100_000;
const SHARDS = 64;
const PER_SCRIPT = 100;

/**
 * KEYS: buckets, each "tokens atMicroseconds" by Redis' clock; below zero it owes what was taken of it in several places
 * at once. ARGV: taken, tokens per second, burst of each. Answers what each has.
 */
const SETTLE = script(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local left = {}
for at = 1, #KEYS do
  local taken, rate, burst = tonumber(ARGV[at * 3 - 2]), tonumber(ARGV[at * 3 - 1]), tonumber(ARGV[at * 3])
  local tokens = burst
  local value = redis.call('GET', KEYS[at])
  if value then
    local had, since = string.match(value, '^(%S+) (%S+)$')
    tokens = math.min(burst, had + math.max(0, now - since) * rate / 1000000)
  end
  tokens = tokens - taken
  -- Full again by then, which is what a bucket is that is not there.
  local untilFull = math.ceil((burst - tokens) * 1000 / rate) + 1000
  redis.call('SET', KEYS[at], string.format('%.6f %.0f', tokens, now), 'PX', string.format('%.0f', untilFull))
  left[at] = string.format('%.6f', tokens)
end
return left`);

interface Shared {
  readonly spec: BucketSpec;
  tokens: number;
  atMs: number;
  /** Taken here since Redis was told. */
  untold: number;
}

/**
 * Token buckets that several processes share, taken from without waiting: each process takes from its own copy of a
 * bucket, and in the background tells Redis what it took and learns what is left, in one batch for all buckets used.
 *
 * Error: between two rounds each of n processes sees the others' tokens as still there, so that up to
 * `(n − 1) · (burst + perSecond · d)` more are admitted than a single bucket would in the same time, where d is
 * `syncEveryMs` and one round trip. The bucket owes them: what was admitted too much is admitted less afterwards, so the
 * error does not grow with time. While Redis is away every process limits alone, as the in-process adapter does.
 */
export class RedisRateLimiter implements RateLimiter {
  readonly #config: RedisRateLimiterConfig;
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, Shared>();
  readonly #touched = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #round: Promise<void> = Promise.resolve();
  #alone = false;
  #closed = false;

  constructor(config: RedisRateLimiterConfig) {
    this.#config = config;
    this.#nowMs = config.nowMs ?? (() => performance.now());
    this.#schedule();
  }

  take(key: string, spec: BucketSpec, tokens = 1): Taken {
    const nowMs = this.#nowMs();
    const known = this.#buckets.get(key);
    const left = available(known, nowMs, spec);
    const cost = Math.min(tokens, spec.burst);
    const taken = answer(left, cost, spec);
    const spent = taken.ok ? cost : 0;
    // Anew, so that it is the last to be forgotten.
    this.#buckets.delete(key);
    // Of a time alone no more is told than a full bucket: the others are not to pay for it.
    const untold = Math.min(spec.burst, (known?.untold ?? 0) + spent);
    this.#buckets.set(key, { spec, tokens: left - spent, atMs: nowMs, untold });
    // One that refuses asks too: it may owe more than is owed.
    if (this.#touched.size < TOUCHED_MAX) this.#touched.add(key);
    forgetBeyond(this.#buckets, this.#config.maxKeys ?? MAX_KEYS);
    return taken;
  }

  check(key: string, spec: BucketSpec): Taken {
    return answer(available(this.#buckets.get(key), this.#nowMs(), spec), Math.min(1, spec.burst), spec);
  }

  /** Resolves when the others know what was taken here. The connection is its owner's. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#round;
    await this.#sync();
    this.#buckets.clear();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#sync().finally(() => this.#schedule());
    }, this.#config.syncEveryMs ?? SYNC_EVERY_MS).unref();
  }

  async #sync(): Promise<void> {
    const due: { readonly key: string; readonly bucket: Shared; readonly told: number }[] = [];
    for (const key of this.#touched) {
      if (due.length === KEYS_PER_ROUND) break;
      this.#touched.delete(key);
      const bucket = this.#buckets.get(key);
      if (bucket !== undefined) due.push({ key, bucket, told: bucket.untold });
    }
    if (due.length === 0) return;
    const { redis } = this.#config;
    const groups = byShard(due, ({ key }) => key, { shards: SHARDS, perCall: PER_SCRIPT });
    const calls = groups.map(({ shard, items }) => {
      const [first = '', ...rest] = items.map(({ key }) => `${redis.keyPrefix}{r:${shard}}:${key}`);
      const args = items.flatMap(({ bucket: { spec }, told }) => [told, spec.perSecond, spec.burst]);
      return { script: SETTLE, keys: [first, ...rest] as const, args };
    });
    let replies: readonly Reply[];
    try {
      replies = await redis.batch(calls);
    } catch (error) {
      // Told again with the next use; at worst it is counted twice, within the bucket's burst.
      if (!this.#alone) this.#config.onAlone?.(error);
      this.#alone = true;
      return;
    }
    this.#alone = false;
    groups.forEach(({ items }, at) => {
      const left = replies[at];
      if (!Array.isArray(left)) return;
      items.forEach(({ key, told }, index) => this.#adopt(key, told, Number(left[index])));
    });
  }

  /** The shared bucket's content, less what was taken here meanwhile. */
  #adopt(key: string, told: number, left: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return;
    bucket.untold = Math.max(0, bucket.untold - told);
    bucket.tokens = left - bucket.untold;
    bucket.atMs = this.#nowMs();
  }
}
