import type { HeadCache } from './head-cache.js';
import { InProcessHeadCache, type InProcessHeadCacheConfig } from './in-process.js';
import { RedisHeadCache, type RedisHeadCacheConfig } from './redis.js';

export * from './head-cache.js';

/** Which adapter keeps the heads. */
export type HeadCacheConfig =
  | ({ readonly adapter: 'in-process' } & InProcessHeadCacheConfig)
  | ({ readonly adapter: 'redis' } & RedisHeadCacheConfig);

export async function openHeadCache(config: HeadCacheConfig): Promise<HeadCache> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessHeadCache(config);
    case 'redis':
      return new RedisHeadCache(config);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { adapter: unknown };
  throw new Error(`headCache.adapter: there is no adapter "${String(adapter)}"; known: in-process, redis`);
}
