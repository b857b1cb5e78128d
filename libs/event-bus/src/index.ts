import type { EventBus } from './event-bus.js';
import { InProcessEventBus, type InProcessEventBusConfig } from './in-process.js';
import { KafkaEventBus } from './kafka.js';
import type { KafkaEventBusConfig, KafkaTopicsConfig } from './kafka-config.js';
import { migrateKafkaTopics } from './kafka-topics.js';

export * from './event-bus.js';
export type { InProcessEventBusConfig } from './in-process.js';
export type {
  ConsumerRestart,
  KafkaConnection,
  KafkaEventBusConfig,
  KafkaLog,
  KafkaTopicsConfig,
} from './kafka-config.js';
export {
  type DeadLetterQuery,
  listDeadLetters,
  type Replay,
  replayDeadLetters,
  type StoredDeadLetter,
} from './kafka-dead-topic.js';

/** Which adapter carries the records. */
export type EventBusConfig =
  | ({ readonly adapter: 'in-process' } & InProcessEventBusConfig)
  | ({ readonly adapter: 'kafka' } & KafkaEventBusConfig);

export async function openEventBus(config: EventBusConfig): Promise<EventBus> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessEventBus(config);
    case 'kafka':
      return KafkaEventBus.open(config);
    default:
      return unknownAdapter(config);
  }
}

export type EventBusMigration =
  { readonly adapter: 'in-process' } | ({ readonly adapter: 'kafka' } & KafkaTopicsConfig);

/** Makes what the adapter needs on its server. Idempotent; `openEventBus` never does it. */
export async function migrateEventBus(config: EventBusMigration): Promise<void> {
  switch (config.adapter) {
    case 'in-process':
      return;
    case 'kafka':
      return migrateKafkaTopics(config);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { readonly adapter: unknown };
  throw new Error(`eventBus.adapter: there is no adapter "${String(adapter)}"; known: in-process, kafka`);
}
