import type { Topic, TopicValues } from '@parley/contracts';

export interface BusRecord<T extends Topic> {
  readonly key: string;
  readonly value: TopicValues[T];
}

export interface DeadLetter {
  readonly topic: Topic;
  readonly group: string;
  readonly key: string;
  readonly value: unknown;
  readonly error: string;
  readonly atMs: number;
}

export interface SubscribeOptions<T extends Topic> {
  readonly topic: T;
  /** Each group gets every record once (or more, after failures); the members of a group share the keys. */
  readonly group: string;
  /**
   * Handles records of one partition, in order. At least once: may be called again with records it has seen. A throw
   * is retried with backoff; after the last attempt its records, one by one, become dead letters and the rest goes on.
   */
  readonly handle: (records: readonly BusRecord<T>[]) => Promise<void>;
  /** At most this many records in one call. Default 500. */
  readonly maxBatch?: number;
}

export interface Subscription {
  /** Finishes the batch at hand, then stops. */
  close(): Promise<void>;
}

/**
 * Records by topic and key.
 *
 * Guarantees, for every adapter:
 * - **Order per key**, within a topic and group.
 * - **At least once** to each group that was subscribed when the record was published (or, for adapters with stored
 *   offsets, that ever subscribed), unless it became a dead letter.
 * - `publish` resolves once the record is safe: it will be delivered though the publisher dies. In the embedded
 *   adapter that means that every group has handled it or made it a dead letter; so whoever re-publishes from the log
 *   what was not confirmed misses nothing.
 * - **Bounded.** Beyond its bound the bus rejects with `overloaded` at once instead of queueing; nothing of the call
 *   was accepted then.
 */
export interface EventBus {
  publish<T extends Topic>(topic: T, records: readonly BusRecord<T>[]): Promise<void>;
  subscribe<T extends Topic>(options: SubscribeOptions<T>): Promise<Subscription>;
  /** The latest dead letters of a topic, oldest first. */
  deadLetters(topic: Topic): Promise<readonly DeadLetter[]>;
  /** Records accepted and not yet handled, by topic and group. */
  lag(): ReadonlyMap<string, number>;
  close(): Promise<void>;
}
