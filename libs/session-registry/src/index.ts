import { InProcessSessionRegistry, type InProcessSessionRegistryConfig } from './in-process.js';
import type { SessionRegistry } from './session-registry.js';

export * from './session-registry.js';

/** Which adapter keeps the sessions. */
export type SessionRegistryConfig = { readonly adapter: 'in-process' } & InProcessSessionRegistryConfig;

export async function openSessionRegistry(config: SessionRegistryConfig): Promise<SessionRegistry> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessSessionRegistry(config);
    default:
      return unknownAdapter(config.adapter);
  }
}

function unknownAdapter(adapter: never): never {
  throw new Error(`sessionRegistry.adapter: there is no adapter "${String(adapter)}"; known: in-process`);
}
