import type { FrameBus } from './frame-bus.js';
import { InProcessFrameBus } from './in-process.js';
import { RedisFrameBus, type RedisFrameBusConfig } from './redis.js';

export * from './frame-bus.js';
export { publishLossy } from './lossy.js';

/** Which adapter carries the frames. */
export type FrameBusConfig = { readonly adapter: 'in-process' } | ({ readonly adapter: 'redis' } & RedisFrameBusConfig);

export async function openFrameBus(config: FrameBusConfig): Promise<FrameBus> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessFrameBus();
    case 'redis':
      return RedisFrameBus.open(config);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { adapter: unknown };
  throw new Error(`frameBus.adapter: there is no adapter "${String(adapter)}"; known: in-process, redis`);
}
