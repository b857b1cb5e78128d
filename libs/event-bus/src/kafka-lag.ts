import type { Topic } from '@parley/contracts';
import type { Admin } from 'kafkajs';

import { withAdmin } from './kafka-client.js';
import { type KafkaConnection, SILENT, topicName } from './kafka-config.js';
import type { Subscription } from './event-bus.js';

const MEASURE_TIMEOUT_MS = 4_000;

/** What it looks at and acts on, of a subscription to any topic. */
export interface Watched extends Subscription {
  readonly options: {
    readonly connection: KafkaConnection;
    readonly topic: Topic;
    readonly group: string;
    readonly groupId: string;
    readonly positions: ReadonlyMap<number, bigint> | null;
  };
  /** The consumer that has its partitions now, if one has. */
  readonly consumer: WatchedConsumer | null;
  restartStalled(): void;
}

export interface WatchedConsumer {
  readonly assigned: ReadonlySet<number>;
  idleMs(): number;
}

export interface LagWatchOptions {
  readonly connection: KafkaConnection;
  readonly subscriptions: ReadonlySet<Watched>;
  readonly measureEveryMs: number;
  readonly stalledAfterMs: number;
}

/**
 * Measures how far the groups are behind, and finds consumers that stand still: kafkajs at times stops fetching and says
 * nothing (kafkajs#659). The figures of a measurement that failed are the last ones.
 */
export class LagWatch {
  readonly #options: LagWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #lags: ReadonlyMap<string, number> = new Map();
  #measuring: Promise<unknown> | null = null;

  constructor(options: LagWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      this.#measuring ??= this.measure().finally(() => (this.#measuring = null));
    }, options.measureEveryMs);
    this.#timer.unref();
  }

  lag(): ReadonlyMap<string, number> {
    return this.#lags;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#measuring;
  }

  async measure(): Promise<void> {
    const { connection, subscriptions, stalledAfterMs } = this.#options;
    const { log = SILENT } = connection;
    try {
      const lags = new Map<string, number>();
      if (subscriptions.size > 0) {
        await withAdmin(connection, MEASURE_TIMEOUT_MS, async (admin) => {
          for (const subscription of subscriptions) {
            const { topic, group } = subscription.options;
            const behind = await partitionLags(admin, subscription);
            lags.set(
              `${topic}/${group}`,
              [...behind.values()].reduce((sum, each) => sum + each, 0),
            );
            if (isStalled(subscription.consumer, behind, stalledAfterMs)) subscription.restartStalled();
          }
        });
      }
      this.#lags = lags;
    } catch (error) {
      log.info({ err: error }, 'lag could not be measured');
    }
  }
}

/** Whether it has records to handle, and has had the time and the partitions to. */
export function isStalled(
  consumer: WatchedConsumer | null,
  behind: ReadonlyMap<number, number>,
  stalledAfterMs: number,
): boolean {
  if (consumer === null || consumer.idleMs() < stalledAfterMs) return false;
  return [...consumer.assigned].some((partition) => (behind.get(partition) ?? 0) > 0);
}

async function partitionLags(
  admin: Admin,
  { options: { connection, topic, groupId, positions } }: Watched,
): Promise<ReadonlyMap<number, number>> {
  const name = topicName(connection, topic);
  const ends = await admin.fetchTopicOffsets(name);
  const at = positions ?? (await committed(admin, groupId, name));
  return new Map(
    ends.map(({ partition, high, low }) => {
      // Nothing committed: the group begins at the oldest record.
      const position = at.get(partition) ?? BigInt(low);
      return [partition, Math.max(0, Number(BigInt(high) - position))];
    }),
  );
}

async function committed(admin: Admin, groupId: string, topic: string): Promise<ReadonlyMap<number, bigint>> {
  const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] });
  return new Map(
    (offsets?.partitions ?? []).flatMap(({ partition, offset }) =>
      BigInt(offset) < 0n ? [] : [[partition, BigInt(offset)] as const],
    ),
  );
}
