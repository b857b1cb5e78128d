import type { FrameBus } from './frame-bus.js';
import { InProcessFrameBus } from './in-process.js';

export * from './frame-bus.js';

/** Which adapter carries the frames. */
export type FrameBusConfig = { readonly adapter: 'in-process' };

export async function openFrameBus(config: FrameBusConfig): Promise<FrameBus> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessFrameBus();
    default:
      return unknownAdapter(config.adapter);
  }
}

function unknownAdapter(adapter: never): never {
  throw new Error(`frameBus.adapter: there is no adapter "${String(adapter)}"; known: in-process`);
}
