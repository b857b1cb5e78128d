import { InProcessDiscovery } from './in-process.js';
import type { ServiceDiscovery } from './service-discovery.js';

export * from './assignment.js';
export * from './rendezvous.js';
export * from './service-discovery.js';

/** Which adapter knows the instances. */
export type DiscoveryConfig = { readonly adapter: 'in-process' };

export async function openDiscovery(config: DiscoveryConfig): Promise<ServiceDiscovery> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessDiscovery();
    default:
      return unknownAdapter(config.adapter);
  }
}

function unknownAdapter(adapter: never): never {
  throw new Error(`discovery.adapter: there is no adapter "${String(adapter)}"; known: in-process`);
}
