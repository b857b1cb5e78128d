import { ParleyError, type Topic, TOPICS } from '@parley/contracts';

import type { BusRecord, DeadLetter, EventBus, SubscribeOptions, Subscription } from './event-bus.js';
import { DEFAULT_ATTEMPTS, DEFAULT_MAX_BATCH, type Pause, RETRY_PAUSES, type RetryPolicy } from './handle-in-order.js';
import { type Member, PartitionQueue, type Ticket } from './partition-queue.js';
import { pauseByTimer } from './pause.js';

export interface InProcessEventBusConfig {
  /** Records accepted and not yet handled, over all topics and groups; beyond, publishing is refused as `overloaded`. */
  readonly queueMaxRecords?: number;
  /** Attempts at a batch before its records are tried one by one and become dead letters. */
  readonly attempts?: number;
  /** For logs and metrics; must not throw. */
  readonly onDeadLetter?: (letter: DeadLetter) => void;
  readonly nowMs?: () => number;
  readonly pause?: Pause;
}

const PARTITIONS = 16;
const QUEUE_MAX_RECORDS = 100_000;
/** Of one topic; beyond, the oldest are forgotten. */
const DEAD_LETTERS_MAX = 1_000;

/** Everyone in one group of one topic, and what waits for them. */
interface Group<T extends Topic> {
  readonly name: string;
  readonly members: Member<BusRecord<T>>[];
  readonly partitions: readonly PartitionQueue<BusRecord<T>>[];
  readonly stop: AbortController;
  lag: number;
}
type GroupsByTopic = { readonly [T in Topic]: Map<string, Group<T>> };

/**
 * The bus of one process. Nothing is stored: a publish resolves when every group has handled its records or given them
 * up as dead letters, and rejects with `unavailable` when a group ended before it had; the publisher then publishes
 * again from the log.
 */
export class InProcessEventBus implements EventBus {
  readonly #queueMaxRecords: number;
  readonly #retry: RetryPolicy;
  readonly #onDeadLetter: (letter: DeadLetter) => void;
  readonly #nowMs: () => number;
  readonly #groups: GroupsByTopic = {
    messages: new Map(),
    directory: new Map(),
    presence: new Map(),
    inbox: new Map(),
  };
  readonly #deadLetters = new Map<Topic, DeadLetter[]>();
  #queued = 0;
  #own = 0;
  #closed = false;

  constructor(config: InProcessEventBusConfig = {}) {
    this.#queueMaxRecords = config.queueMaxRecords ?? QUEUE_MAX_RECORDS;
    this.#retry = {
      ...RETRY_PAUSES,
      attempts: config.attempts ?? DEFAULT_ATTEMPTS,
      pause: config.pause ?? pauseByTimer,
    };
    this.#onDeadLetter = config.onDeadLetter ?? (() => undefined);
    this.#nowMs = config.nowMs ?? Date.now;
  }

  publish<T extends Topic>(topic: T, records: readonly BusRecord<T>[]): Promise<void> {
    if (this.#closed) return Promise.reject(new ParleyError('unavailable', 'The event bus is closed'));
    const groups = this.#groups[topic];
    const count = records.length * groups.size;
    if (this.#queued + count > this.#queueMaxRecords) {
      return Promise.reject(new ParleyError('overloaded', `The event bus has ${this.#queued} records waiting`));
    }
    if (count === 0) return Promise.resolve();
    this.#queued += count;
    return new Promise((resolve, reject) => {
      let open = count;
      const settle = (group: Group<T>): void => {
        group.lag -= 1;
        this.#queued -= 1;
        open -= 1;
      };
      for (const group of groups.values()) {
        const { name } = group;
        group.lag += records.length;
        const ticket: Ticket = {
          done() {
            settle(group);
            if (open === 0) resolve();
          },
          abandoned() {
            settle(group);
            reject(new ParleyError('unavailable', `Group ${name} of ${topic} ended before it had every record`));
          },
        };
        for (const record of records) group.partitions[partitionOf(record.key)]?.push({ record, ticket });
      }
    });
  }

  async subscribe<T extends Topic>(options: SubscribeOptions<T>): Promise<Subscription> {
    if (this.#closed) throw new ParleyError('unavailable', 'The event bus is closed');
    const groups = this.#groups[options.topic];
    // A space is in no group's name: nobody joins the group that a subscription has for itself.
    const id = options.every === true ? `${options.group} ${(this.#own += 1)}` : options.group;
    const group = groups.get(id) ?? this.#newGroup(options.topic, options.group);
    groups.set(id, group);
    const member: Member<BusRecord<T>> = {
      handle: options.handle,
      maxBatch: options.maxBatch ?? DEFAULT_MAX_BATCH,
      running: new Set(),
    };
    group.members.push(member);
    return {
      close: async () => {
        const index = group.members.indexOf(member);
        if (index >= 0) group.members.splice(index, 1);
        if (group.members.length === 0) {
          group.stop.abort();
          if (groups.get(id) === group) groups.delete(id);
        }
        await Promise.all(member.running);
      },
    };
  }

  async deadLetters(topic: Topic): Promise<readonly DeadLetter[]> {
    return [...(this.#deadLetters.get(topic) ?? [])];
  }

  lag(): ReadonlyMap<string, number> {
    const lags = new Map<string, number>();
    for (const topic of TOPICS) {
      for (const { name, lag } of this.#groups[topic].values()) {
        const key = `${topic}/${name}`;
        lags.set(key, (lags.get(key) ?? 0) + lag);
      }
    }
    return lags;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const running: Promise<unknown>[] = [];
    for (const topic of TOPICS) {
      for (const group of this.#groups[topic].values()) {
        running.push(...group.members.flatMap((member) => [...member.running]));
        group.members.length = 0;
        group.stop.abort();
      }
      this.#groups[topic].clear();
    }
    await Promise.all(running);
  }

  #newGroup<T extends Topic>(topic: T, name: string): Group<T> {
    const members: Member<BusRecord<T>>[] = [];
    const stop = new AbortController();
    const partitions = Array.from(
      { length: PARTITIONS },
      (_, partition) =>
        new PartitionQueue<BusRecord<T>>({
          member: () => members[partition % Math.max(1, members.length)],
          retry: this.#retry,
          stopped: stop.signal,
          deadLetter: ({ key, value }, error) => this.#bury({ topic, group: name, key, value }, error),
        }),
    );
    return { name, members, partitions, stop, lag: 0 };
  }

  #bury(what: Pick<DeadLetter, 'topic' | 'group' | 'key' | 'value'>, error: unknown): void {
    const letter = { ...what, error: error instanceof Error ? error.message : String(error), atMs: this.#nowMs() };
    const letters = this.#deadLetters.get(what.topic) ?? [];
    this.#deadLetters.set(what.topic, letters);
    letters.push(letter);
    if (letters.length > DEAD_LETTERS_MAX) letters.shift();
    this.#onDeadLetter(letter);
  }
}

/** FNV-1a. */
function partitionOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return ((hash ^ (hash >>> 16)) >>> 0) % PARTITIONS;
}
