import type { EventBus } from './event-bus.js';
import { InProcessEventBus, type InProcessEventBusConfig } from './in-process.js';

export * from './event-bus.js';

/** Which adapter carries the records. */
export type EventBusConfig = { readonly adapter: 'in-process' } & InProcessEventBusConfig;

export async function openEventBus(config: EventBusConfig): Promise<EventBus> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessEventBus(config);
    default:
      return unknownAdapter(config.adapter);
  }
}

function unknownAdapter(adapter: never): never {
  throw new Error(`eventBus.adapter: there is no adapter "${String(adapter)}"; known: in-process`);
}
