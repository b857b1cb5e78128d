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
   * This process's own: starts at the newest record, and leaves nothing behind. Every subscription gets every record
   * that is published while it is open, whoever else has the same group's name; what is published before `subscribe`
   * has resolved, or while the process is away, is missed. What a broker's outage holds up comes after it.
   */
  readonly every?: boolean;
  /**
   * Handles records of one partition, in order. At least once: may be called again with records it has seen. A throw
   * is retried with backoff; after the last attempt its records, one by one, become dead letters and the rest goes on.
   * A throw of `unavailable` or `overloaded` says that something the handler needs is away: no fault of the records,
   * which are tried again for as long as it takes (at most 2 s apart), and never become dead letters for it.
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
 * - A `publish` that rejects with `unavailable` **may still be delivered**, once, also after what is published later.
 *   What was handed over after it and not yet confirmed is rejected with it: nothing overtakes silently, and who
 *   publishes everything unconfirmed again, in order, keeps the order but for repetitions.
 * - A record that cannot be read becomes a dead letter at once, and holds nothing up.
 * - **Bounded.** Beyond its bound the bus rejects with `overloaded` at once instead of queueing; nothing of the call
 *   was accepted then.
 */
export interface EventBus {
  publish<T extends Topic>(topic: T, records: readonly BusRecord<T>[]): Promise<void>;
  subscribe<T extends Topic>(options: SubscribeOptions<T>): Promise<Subscription>;
  /** The latest dead letters of a topic, oldest first; at most 1,000. */
  deadLetters(topic: Topic): Promise<readonly DeadLetter[]>;
  /** Records accepted and not yet handled, by `topic/group`; an adapter of a server says what it last measured. */
  lag(): ReadonlyMap<string, number>;
  close(): Promise<void>;
}
