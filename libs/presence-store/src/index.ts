import { InProcessPresenceStore, type InProcessPresenceStoreConfig } from './in-process.js';
import type { PresenceStore } from './presence-store.js';
import { RedisPresenceStore, type RedisPresenceStoreConfig } from './redis.js';

export * from './presence-store.js';

/** Which adapter keeps presence. */
export type PresenceStoreConfig =
  | ({ readonly adapter: 'in-process' } & InProcessPresenceStoreConfig)
  | ({ readonly adapter: 'redis' } & RedisPresenceStoreConfig);

export async function openPresenceStore(config: PresenceStoreConfig): Promise<PresenceStore> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessPresenceStore(config);
    case 'redis':
      return new RedisPresenceStore(config);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { adapter: unknown };
  throw new Error(`presenceStore.adapter: there is no adapter "${String(adapter)}"; known: in-process, redis`);
}
