import { InProcessRateLimiter, type InProcessRateLimiterConfig } from './in-process.js';
import type { RateLimiter } from './rate-limiter.js';
import { RedisRateLimiter, type RedisRateLimiterConfig } from './redis.js';

export * from './rate-limiter.js';

/** Which adapter keeps the buckets. */
export type RateLimiterConfig =
  | ({ readonly adapter: 'in-process' } & InProcessRateLimiterConfig)
  | ({ readonly adapter: 'redis' } & RedisRateLimiterConfig);

export async function openRateLimiter(config: RateLimiterConfig): Promise<RateLimiter> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessRateLimiter(config);
    case 'redis':
      return new RedisRateLimiter(config);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { adapter: unknown };
  throw new Error(`rateLimiter.adapter: there is no adapter "${String(adapter)}"; known: in-process, redis`);
}
