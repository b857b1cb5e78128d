import { ParleyError, type Topic } from '@parley/contracts';
import type { KafkaMessage } from 'kafkajs';

import { messageOf, within } from './deadline.js';
import type { BusRecord, DeadLetter, EventBus, SubscribeOptions, Subscription } from './event-bus.js';
import { DEFAULT_ATTEMPTS, DEFAULT_MAX_BATCH, RETRY_PAUSES, type RetryPolicy } from './handle-in-order.js';
import { withAdmin } from './kafka-client.js';
import {
  CONNECT_TIMEOUT_MS,
  deadTopicName,
  groupName,
  type KafkaEventBusConfig,
  SILENT,
  topicName,
} from './kafka-config.js';
import { fromDeadMessage, toDeadMessage } from './kafka-dead-letters.js';
import { listDeadLetters } from './kafka-dead-topic.js';
import { LagWatch, type Watched } from './kafka-lag.js';
import { KafkaSender } from './kafka-sender.js';
import { KafkaSubscription } from './kafka-subscription.js';
import { checkKafkaTopics, RECORD_MAX_BYTES } from './kafka-topics.js';
import { pauseByTimer } from './pause.js';
import { type Outgoing, PublishQueue } from './publish-queue.js';
import { encodeValue, WIRE_VERSION } from './record-codec.js';

const QUEUE_MAX_RECORDS = 100_000;
const QUEUE_MAX_BYTES = 64 * 1024 * 1024;
const PUBLISH_TIMEOUT_MS = 2_000;
const MEASURE_EVERY_MS = 5_000;
const STALLED_AFTER_MS = 30_000;
const ADMIN_TIMEOUT_MS = 5_000;
const DEAD_LETTERS_MAX = 1_000;

/**
 * The bus on Kafka. `publish` resolves when all in-sync replicas have the record. A group begins at the oldest record
 * there is, goes on where it committed, and shares partitions, hence keys, among its members. A key's order holds while
 * the number of partitions stays.
 */
export class KafkaEventBus implements EventBus {
  readonly #config: KafkaEventBusConfig;
  readonly #retry: RetryPolicy;
  readonly #nowMs: () => number;
  readonly #queue: PublishQueue;
  readonly #subscriptions = new Set<Watched>();
  readonly #lag: LagWatch;
  #closed = false;

  private constructor(config: KafkaEventBusConfig) {
    const { log = SILENT, pause = pauseByTimer } = config;
    this.#config = config;
    this.#nowMs = config.nowMs ?? Date.now;
    this.#retry = { ...RETRY_PAUSES, attempts: config.attempts ?? DEFAULT_ATTEMPTS, pause };
    this.#queue = new PublishQueue({
      connect: () => KafkaSender.connect(config),
      timeoutMs: config.publishTimeoutMs ?? PUBLISH_TIMEOUT_MS,
      maxRecords: config.queueMaxRecords ?? QUEUE_MAX_RECORDS,
      maxBytes: config.queueMaxBytes ?? QUEUE_MAX_BYTES,
      log,
      pause: pauseByTimer,
    });
    this.#lag = new LagWatch({
      connection: config,
      subscriptions: this.#subscriptions,
      measureEveryMs: config.measureEveryMs ?? MEASURE_EVERY_MS,
      stalledAfterMs: config.stalledAfterMs ?? STALLED_AFTER_MS,
    });
  }

  static async open(config: KafkaEventBusConfig): Promise<KafkaEventBus> {
    await checkKafkaTopics(config);
    const bus = new KafkaEventBus(config);
    try {
      const timeoutMs = config.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
      await within(timeoutMs, `Connecting to Kafka at ${config.brokers.join(',')}`, bus.#queue.connected());
      return bus;
    } catch (error) {
      await bus.close();
      throw error;
    }
  }

  async publish<T extends Topic>(topic: T, records: readonly BusRecord<T>[]): Promise<void> {
    const name = topicName(this.#config, topic);
    const messages = records.flatMap(({ key, value }) =>
      encodeValue(topic, value).map((encoded): Outgoing => ({
        topic: name,
        message: { key, value: encoded, headers: { v: WIRE_VERSION } },
      })),
    );
    for (const { message } of messages) {
      if ((message.value?.length ?? 0) > RECORD_MAX_BYTES - 10_000)
        throw new ParleyError('too_large', `A record of ${topic} is larger than the brokers take`);
    }
    await this.#queue.publish(messages);
  }

  async subscribe<T extends Topic>(options: SubscribeOptions<T>): Promise<Subscription> {
    if (this.#closed) throw new ParleyError('unavailable', 'The event bus is closed');
    const { topic, group, handle, maxBatch = DEFAULT_MAX_BATCH, every = false } = options;
    const subscription = new KafkaSubscription<T>({
      connection: this.#config,
      reports: this.#config,
      topic,
      group,
      groupId: groupName(this.#config, topic, group),
      positions: every ? await this.#newest(topic) : null,
      handle,
      maxBatch,
      retry: this.#retry,
      nowMs: this.#nowMs,
      bury: (partition, message, error) => this.#bury(topic, group, partition, message, error),
    });
    this.#subscriptions.add(subscription);
    const close = async (): Promise<void> => {
      this.#subscriptions.delete(subscription);
      await subscription.close();
    };
    try {
      await subscription.opened();
    } catch (error) {
      await close();
      throw error;
    }
    return { close };
  }

  deadLetters(topic: Topic): Promise<readonly DeadLetter[]> {
    return listDeadLetters(this.#config, { topic, limit: DEAD_LETTERS_MAX });
  }

  lag(): ReadonlyMap<string, number> {
    return this.#lag.lag();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    this.#subscriptions.clear();
    await this.#lag.close();
    await this.#queue.close();
  }

  async #newest(topic: Topic): Promise<Map<number, bigint>> {
    const ends = await withAdmin(this.#config, ADMIN_TIMEOUT_MS, (admin) =>
      admin.fetchTopicOffsets(topicName(this.#config, topic)),
    );
    return new Map(ends.map(({ partition, high }) => [partition, BigInt(high)]));
  }

  async #bury(topic: Topic, group: string, partition: number, message: KafkaMessage, error: unknown): Promise<void> {
    const death = { group, error: messageOf(error), atMs: this.#nowMs(), partition };
    const dead = toDeadMessage(message, death);
    await this.#queue.publish([{ topic: deadTopicName(this.#config, topic), message: dead }]);
    this.#config.onDeadLetter?.(fromDeadMessage(topic, { ...dead, offset: message.offset, key: message.key }));
  }
}
