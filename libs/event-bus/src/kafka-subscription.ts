import { ParleyError, type Topic } from '@parley/contracts';

import { messageOf } from './deadline.js';
import type { Subscription } from './event-bus.js';
import { type ConsumerRestart, type KafkaEventBusConfig, CONNECT_TIMEOUT_MS, SILENT } from './kafka-config.js';
import { type ConsumerOptions, KafkaConsumer } from './kafka-consumer.js';
import { pauseByTimer } from './pause.js';

/** Joining waits for the slowest member of the group. */
const JOIN_TIMEOUT_MS = 20_000;
const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 2_000;
const FAILURES_MAX = 5;

type Reports = Pick<KafkaEventBusConfig, 'connectTimeoutMs' | 'log' | 'onConsumerRestart' | 'onFatal'>;

export interface SubscriptionOptions<T extends Topic> extends ConsumerOptions<T> {
  /** As the subscriber calls it. */
  readonly group: string;
  readonly reports: Reports;
}

/** A consumer, and another one whenever it ended or stands still, until closed. */
export class KafkaSubscription<T extends Topic> implements Subscription {
  readonly #options: SubscriptionOptions<T>;
  readonly #closed = new AbortController();
  readonly #opened = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  #consumer: KafkaConsumer<T> | null = null;
  #replace: ((reason: Error) => void) | null = null;

  constructor(options: SubscriptionOptions<T>) {
    this.#options = options;
    this.#running = this.#keepRunning();
  }

  get options(): SubscriptionOptions<T> {
    return this.#options;
  }

  /** The consumer that has its partitions now, if one has. */
  get consumer(): KafkaConsumer<T> | null {
    return this.#replace === null ? null : this.#consumer;
  }

  /** Resolves once it gets what is published from then on. */
  async opened(): Promise<void> {
    const { connection, groupId } = this.#options;
    const late = new AbortController();
    const timeoutMs = connection.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const deadline = pauseByTimer(timeoutMs, late.signal).then(() => {
      if (late.signal.aborted) return;
      throw new ParleyError('unavailable', `Group ${groupId} could not be joined within ${timeoutMs} ms`);
    });
    try {
      await Promise.race([this.#opened.promise, deadline.then(() => this.#opened.promise)]);
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      late.abort();
    }
  }

  /** For the watchdog. */
  restartStalled(): void {
    this.#replace?.(new StalledConsumer('It has records to handle and handles none'));
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#opened.promise.catch(() => undefined);
    this.#opened.reject(new ParleyError('unavailable', 'The subscription was closed'));
    await this.#consumer?.close();
    await this.#running;
  }

  async #keepRunning(): Promise<void> {
    const { signal } = this.#closed;
    let failures = 0;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      const consumer = new KafkaConsumer(this.#options);
      this.#consumer = consumer;
      const error = await this.#live(consumer);
      if (signal.aborted) return;
      await consumer.destroy();
      this.#consumer = null;
      if (consumer.handledAny) {
        failures = 0;
        pauseMs = FIRST_PAUSE_MS;
      }
      // Brokers that are away are waited for, however long.
      if (!isOutage(error)) failures += 1;
      this.#report(error);
      if (failures === FAILURES_MAX) {
        this.#opened.promise.catch(() => undefined);
        this.#opened.reject(error);
        this.#options.reports.onFatal?.(error);
      }
      await pauseByTimer(pauseMs, signal);
    }
  }

  /** Resolves with the reason when the consumer is to be replaced, or the subscription was closed. */
  async #live(consumer: KafkaConsumer<T>): Promise<Error> {
    const { signal } = this.#closed;
    const closed = Promise.withResolvers<Error>();
    signal.addEventListener('abort', () => closed.resolve(new Error('The subscription was closed')), { once: true });
    try {
      return await Promise.race([this.#consume(consumer), closed.promise]);
    } catch (error) {
      return error instanceof Error ? error : new Error(messageOf(error));
    } finally {
      this.#replace = null;
    }
  }

  async #consume(consumer: KafkaConsumer<T>): Promise<Error> {
    await consumer.start(JOIN_TIMEOUT_MS);
    const replaced = Promise.withResolvers<Error>();
    if (!this.#closed.signal.aborted) this.#replace = replaced.resolve;
    this.#opened.resolve();
    return Promise.race([consumer.ended, replaced.promise]);
  }

  #report(error: Error): void {
    const { topic, group, reports } = this.#options;
    const { log = SILENT } = reports;
    const reason: ConsumerRestart['reason'] = error instanceof StalledConsumer ? 'stalled' : 'crashed';
    log.warn({ err: error, topic, group, reason }, 'a consumer is started again');
    reports.onConsumerRestart?.({ topic, group, reason, error: error.message });
  }
}

class StalledConsumer extends Error {
  override readonly name = 'StalledConsumer';
}

/** Whether what failed will be good again by waiting: kafkajs says so of the error at the bottom. */
export function isOutage(error: unknown): boolean {
  if (error instanceof ParleyError || error instanceof StalledConsumer) return true;
  if (!(error instanceof Error)) return false;
  if (error.cause instanceof Error && error.cause !== error) return isOutage(error.cause);
  return 'retriable' in error && error.retriable === true;
}
