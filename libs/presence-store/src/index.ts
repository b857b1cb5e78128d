import { InProcessPresenceStore, type InProcessPresenceStoreConfig } from './in-process.js';
import type { PresenceStore } from './presence-store.js';

export * from './presence-store.js';

/** Which adapter keeps presence. */
export type PresenceStoreConfig = { readonly adapter: 'in-process' } & InProcessPresenceStoreConfig;

export async function openPresenceStore(config: PresenceStoreConfig): Promise<PresenceStore> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessPresenceStore(config);
    default:
      return unknownAdapter(config.adapter);
  }
}

function unknownAdapter(adapter: never): never {
  throw new Error(`presenceStore.adapter: there is no adapter "${String(adapter)}"; known: in-process`);
}
