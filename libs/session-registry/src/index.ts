import { InProcessSessionRegistry, type InProcessSessionRegistryConfig } from './in-process.js';
import { RedisSessionRegistry, type RedisSessionRegistryConfig } from './redis.js';
import type { SessionRegistry } from './session-registry.js';

export * from './session-registry.js';

/** Which adapter keeps the sessions. */
export type SessionRegistryConfig =
  | ({ readonly adapter: 'in-process' } & InProcessSessionRegistryConfig)
  | ({ readonly adapter: 'redis' } & RedisSessionRegistryConfig);

export async function openSessionRegistry(config: SessionRegistryConfig): Promise<SessionRegistry> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessSessionRegistry(config);
    case 'redis':
      return new RedisSessionRegistry(config);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { adapter: unknown };
  throw new Error(`sessionRegistry.adapter: there is no adapter "${String(adapter)}"; known: in-process, redis`);
}
