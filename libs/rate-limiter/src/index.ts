import { InProcessRateLimiter, type InProcessRateLimiterConfig } from './in-process.js';
import type { RateLimiter } from './rate-limiter.js';

export * from './rate-limiter.js';

/** Which adapter keeps the buckets. */
export type RateLimiterConfig = { readonly adapter: 'in-process' } & InProcessRateLimiterConfig;

export async function openRateLimiter(config: RateLimiterConfig): Promise<RateLimiter> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessRateLimiter(config);
    default:
      return unknownAdapter(config.adapter);
  }
}

function unknownAdapter(adapter: never): never {
  throw new Error(`rateLimiter.adapter: there is no adapter "${String(adapter)}"; known: in-process`);
}
