import { EtcdDiscovery, type EtcdDiscoveryConfig } from './etcd.js';
import { InProcessDiscovery } from './in-process.js';
import type { ServiceDiscovery } from './service-discovery.js';

export * from './assignment.js';
export * from './rendezvous.js';
export * from './reservations.js';
export { Registration, type RegistrationOptions } from './registration.js';
export * from './service-discovery.js';

/** Which adapter knows the instances. */
export type DiscoveryConfig = { readonly adapter: 'in-process' } | ({ readonly adapter: 'etcd' } & EtcdDiscoveryConfig);

export async function openDiscovery(config: DiscoveryConfig): Promise<ServiceDiscovery> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessDiscovery();
    case 'etcd':
      return EtcdDiscovery.open(config);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { readonly adapter: unknown };
  throw new Error(`discovery.adapter: there is no adapter "${String(adapter)}"; known: in-process, etcd`);
}
