import { randomUUID } from 'node:crypto';

import type { Topic } from '@parley/contracts';
import type { Consumer, EachBatchPayload } from 'kafkajs';

import { messageOf, within } from './deadline.js';
import { type BatchOptions, handleBatch } from './kafka-batch.js';
import { KafkaClient, withAdmin } from './kafka-client.js';
import { KafkaCommits } from './kafka-commits.js';
import { type KafkaConnection, SILENT, topicName } from './kafka-config.js';

const SESSION_TIMEOUT_MS = 10_000;
/** Members learn of a rebalance from a heartbeat's answer: this is how long one waits for the others. */
const HEARTBEAT_MS = 1_000;
/** Longer than a handler takes. */
const REBALANCE_TIMEOUT_MS = 15_000;
/** kafkajs' default of 5 s makes every rebalance take that long: a member joins only between two fetches. */
const MAX_WAIT_MS = 300;
const MAX_BYTES = 4_000_000;
const PARTITIONS_AT_ONCE = 4;
const REQUEST_TIMEOUT_MS = 3_000;
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 4 };
const COMMIT_TIMEOUT_MS = 1_000;
const LEAVE_TIMEOUT_MS = 3_000;

export interface ConsumerOptions<T extends Topic> extends Omit<BatchOptions<T>, 'stopped' | 'done'> {
  readonly connection: KafkaConnection;
  /** With `positions` the beginning of it. */
  readonly groupId: string;
  /**
   * Where each partition stands, for a group of this process alone: kept here, as the group has no committed offsets
   * and a rejoin would start at what is then the newest. `null` for groups whose offsets the brokers keep.
   */
  readonly positions: Map<number, bigint> | null;
  readonly nowMs: () => number;
}

/** One life of a kafkajs consumer: from joining to leaving or crashing. It is never started again; another one is. */
export class KafkaConsumer<T extends Topic> {
  /** Resolves with the reason when the consumer ended by itself. */
  readonly ended: Promise<Error>;
  readonly #options: ConsumerOptions<T>;
  readonly #groupId: string;
  readonly #client: KafkaClient;
  readonly #consumer: Consumer;
  readonly #commits: KafkaCommits;
  readonly #inHand = new Map<number, { readonly stop: AbortController; readonly handled: Promise<void> }>();
  readonly #joined = Promise.withResolvers<void>();
  #assigned: ReadonlySet<number> = new Set();
  #closing = false;
  #movedAtMs: number;
  #handledAny = false;

  constructor(options: ConsumerOptions<T>) {
    const { connection, topic, positions } = options;
    this.#options = options;
    // A group of its own is never joined twice: the one before may still wait for its member's session to end, and a
    // new member with it (measured after a broker's restart: 11 s).
    const groupId = positions === null ? options.groupId : `${options.groupId}-${randomUUID()}`;
    this.#groupId = groupId;
    this.#movedAtMs = options.nowMs();
    this.#client = new KafkaClient(connection, { requestTimeoutMs: REQUEST_TIMEOUT_MS, retry: RETRY });
    this.#consumer = this.#client.kafka.consumer({
      groupId,
      sessionTimeout: SESSION_TIMEOUT_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_MS,
      maxWaitTimeInMs: MAX_WAIT_MS,
      maxBytes: MAX_BYTES,
      allowAutoTopicCreation: false,
      // Started again by us, always: kafkajs does so only after errors that it deems worth it.
      retry: { ...RETRY, restartOnFailure: async () => false },
    });
    this.#commits = new KafkaCommits(topicName(connection, topic), connection.log ?? SILENT);
    const ended = Promise.withResolvers<Error>();
    this.ended = ended.promise;
    this.#consumer.on(this.#consumer.events.CRASH, ({ payload }) => ended.resolve(payload.error));
    this.#consumer.on(this.#consumer.events.GROUP_JOIN, ({ payload }) => this.#divided(payload.memberAssignment));
  }

  /** Resolves once it has its partitions: what is published from then on, it gets. */
  async start(timeoutMs: number): Promise<void> {
    const { connection, topic } = this.#options;
    const start = async (): Promise<void> => {
      await this.#consumer.connect();
      // A group's first member, and a new partition, begin at the oldest record: nothing is between two chairs.
      await this.#consumer.subscribe({ topics: [topicName(connection, topic)], fromBeginning: true });
      await this.#consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
        eachBatch: (payload) => this.#batch(payload),
      });
      const crash = await Promise.race([this.#joined.promise, this.ended]);
      if (crash !== undefined) throw crash;
    };
    await within(timeoutMs, `Joining group ${this.#groupId}`, start());
  }

  /** Whether it did anything: what then fails is another failure than one at the start. */
  get handledAny(): boolean {
    return this.#handledAny;
  }

  get assigned(): ReadonlySet<number> {
    return this.#assigned;
  }

  /** Since when it has done nothing though it could; 0 while a handler runs. */
  idleMs(): number {
    return this.#inHand.size > 0 ? 0 : this.#options.nowMs() - this.#movedAtMs;
  }

  /** Finishes the batches at hand, commits, and leaves the group, so that others need not wait for its session's end. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const { stop } of this.#inHand.values()) stop.abort();
    await Promise.all([...this.#inHand.values()].map(({ handled }) => handled));
    const { connection, positions } = this.#options;
    const { log = SILENT } = connection;
    const groupId = this.#groupId;
    try {
      await within(COMMIT_TIMEOUT_MS, 'Committing offsets', this.#commits.settled());
      await within(LEAVE_TIMEOUT_MS, `Leaving group ${groupId}`, this.#consumer.disconnect());
      if (positions !== null) await withAdmin(connection, LEAVE_TIMEOUT_MS, (admin) => admin.deleteGroups([groupId]));
    } catch (error) {
      // The brokers notice by themselves, once the session is over, and forget a group without members and offsets.
      log.info({ err: error, groupId }, 'a consumer went without leaving its group');
    } finally {
      this.#client.destroy();
    }
  }

  /** For one that ended or does not move: without waiting for anything but its handlers. */
  async destroy(): Promise<void> {
    this.#closing = true;
    for (const { stop } of this.#inHand.values()) stop.abort();
    this.#client.destroy();
    await Promise.all([...this.#inHand.values()].map(({ handled }) => handled));
  }

  #divided(assignment: Readonly<Record<string, readonly number[]>>): void {
    const { connection, topic, positions } = this.#options;
    const name = topicName(connection, topic);
    for (const { stop } of this.#inHand.values()) stop.abort();
    this.#commits.forget();
    this.#assigned = new Set(assignment[name]);
    this.#movedAtMs = this.#options.nowMs();
    if (positions !== null) {
      for (const partition of this.#assigned) {
        const offset = String(positions.get(partition) ?? 0n);
        this.#consumer.seek({ topic: name, partition, offset });
      }
    }
    this.#joined.resolve();
  }

  async #batch(payload: EachBatchPayload): Promise<void> {
    const { partition } = payload.batch;
    // Fetched for an assignment that is over, or while one before it is not finished (kafkajs#1122): fetched again.
    if (this.#closing || !this.#assigned.has(partition) || this.#inHand.has(partition)) return;
    const stop = new AbortController();
    const handled = this.#handle(payload, stop);
    this.#inHand.set(partition, { stop, handled: handled.then(ignore, ignore) });
    try {
      await handled;
    } finally {
      this.#inHand.delete(partition);
      this.#movedAtMs = this.#options.nowMs();
    }
  }

  /** With heartbeats all the while, and an end to it where one says that the group divides its partitions anew. */
  async #handle(payload: EachBatchPayload, stop: AbortController): Promise<void> {
    let failed: Error | null = null;
    const beat = async (): Promise<void> => {
      try {
        await payload.heartbeat();
      } catch (error) {
        failed = error instanceof Error ? error : new Error(messageOf(error));
        stop.abort();
      }
    };
    await beat();
    const timer = setInterval(() => void beat(), HEARTBEAT_MS);
    try {
      await handleBatch(payload, {
        ...this.#options,
        stopped: stop.signal,
        done: (partition, offset) => this.#done(payload, stop.signal, partition, offset),
      });
    } finally {
      clearInterval(timer);
    }
    // kafkajs joins again, or tries again, by what it was.
    if (failed !== null) throw failed;
  }

  #done(payload: EachBatchPayload, { aborted }: AbortSignal, partition: number, offset: string): void {
    const nextOffset = BigInt(offset) + 1n;
    this.#handledAny = true;
    this.#options.positions?.set(partition, nextOffset);
    // What was aborted for another reason than closing may be another's now, who handles it again.
    if (aborted && !this.#closing) return;
    payload.resolveOffset(offset);
    if (this.#options.positions === null)
      this.#commits.handled(partition, nextOffset, payload.commitOffsetsIfNecessary);
  }
}

function ignore(): void {
  // Who awaits the handling itself gets its error.
}
