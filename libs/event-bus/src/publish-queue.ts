import { ParleyError } from '@parley/contracts';

import { messageOf, within } from './deadline.js';
import type { KafkaLog } from './kafka-config.js';
import type { Pause } from './handle-in-order.js';

export interface WireMessage {
  readonly key: Buffer | string | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Outgoing {
  readonly topic: string;
  readonly message: WireMessage;
}

/** One connection to the brokers, for as long as every send on it succeeds. */
export interface Sender {
  /** Resolves when every record is on enough brokers. */
  send(batch: readonly Outgoing[]): Promise<void>;
  destroy(): void;
}

export interface PublishQueueOptions {
  readonly connect: () => Promise<Sender>;
  readonly timeoutMs: number;
  readonly maxRecords: number;
  readonly maxBytes: number;
  readonly log: KafkaLog;
  readonly pause: Pause;
}

/** One send; more waits for the next. Below the brokers' limit for a batch, as all of it may be of one partition. */
const SEND_MAX_BYTES = 1_000_000;
const MESSAGE_OVERHEAD_BYTES = 100;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 1_000;

interface Ticket {
  open: number;
  resolve(): void;
  reject(error: Error): void;
}
interface Waiting extends Outgoing {
  readonly bytes: number;
  readonly ticket: Ticket;
}

/**
 * One send at a time, of everything that was published meanwhile. A send that fails, or takes too long, fails everything
 * that waits behind it too: nothing overtakes. Its sender is given up with it. kafkajs takes back the sequence numbers
 * of a failed send; were it kept, the brokers could take other records under the same numbers for repetitions and drop
 * them, acknowledged.
 */
export class PublishQueue {
  readonly #options: PublishQueueOptions;
  readonly #closed = new AbortController();
  #waiting: Waiting[] = [];
  #queued = { records: 0, bytes: 0 };
  #draining: Promise<void> | null = null;
  #sender: Sender | null = null;
  #connecting = Promise.withResolvers<Sender>();
  /** The brokers did not answer within the time a publish may take: what comes now is not made to wait for it again. */
  #away = false;

  constructor(options: PublishQueueOptions) {
    this.#options = options;
    void this.#reconnect();
  }

  connected(): Promise<unknown> {
    return this.#connecting.promise;
  }

  publish(messages: readonly Outgoing[]): Promise<void> {
    if (this.#closed.signal.aborted) return Promise.reject(new ParleyError('unavailable', 'The event bus is closed'));
    if (messages.length === 0) return Promise.resolve();
    if (this.#away) return Promise.reject(new ParleyError('unavailable', 'Kafka is away'));
    const sizes = messages.map(({ message }) => sizeOf(message));
    const bytes = sizes.reduce((sum, each) => sum + each, 0);
    const { records, bytes: queuedBytes } = this.#queued;
    if (records + messages.length > this.#options.maxRecords || queuedBytes + bytes > this.#options.maxBytes) {
      return Promise.reject(new ParleyError('overloaded', `${records} records wait to be published`));
    }
    this.#queued = { records: records + messages.length, bytes: queuedBytes + bytes };
    return new Promise((resolve, reject) => {
      const ticket: Ticket = { open: messages.length, resolve, reject };
      messages.forEach((outgoing, at) => this.#waiting.push({ ...outgoing, bytes: sizes[at] ?? 0, ticket }));
      // Once the turn is over, so that everything published in it is one send.
      this.#draining ??= new Promise((done) => {
        setImmediate(() => void this.#drain().then(done));
      });
    });
  }

  /** Sends what waits, then lets go. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#draining;
    this.#connecting.promise.catch(() => undefined);
    this.#sender?.destroy();
    this.#sender = null;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        await this.#send(batch);
        this.#settle(batch, null);
      } catch (error) {
        this.#options.log.warn({ err: error, records: batch.length }, 'a send to Kafka failed');
        const unavailable = new ParleyError('unavailable', `Kafka did not take records: ${messageOf(error)}`);
        this.#settle([...batch, ...this.#waiting.splice(0)], unavailable);
      }
    }
    this.#draining = null;
  }

  #take(): readonly Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      bytes += waiting.bytes;
      if (count > 0 && bytes > SEND_MAX_BYTES) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    const { timeoutMs } = this.#options;
    const startedMs = performance.now();
    const sender = this.#sender ?? (await this.#awaitSender());
    try {
      await within(Math.max(1, timeoutMs - (performance.now() - startedMs)), 'A send to Kafka', sender.send(batch));
    } catch (error) {
      sender.destroy();
      this.#sender = null;
      this.#connecting = Promise.withResolvers();
      if (!this.#closed.signal.aborted) void this.#reconnect();
      throw error;
    }
  }

  async #awaitSender(): Promise<Sender> {
    try {
      return await within(this.#options.timeoutMs, 'Connecting to Kafka', this.#connecting.promise);
    } catch (error) {
      this.#away = this.#sender === null;
      throw error;
    }
  }

  /** Until it succeeds; while it does not, publishing fails, at first after the timeout, then at once. */
  async #reconnect(): Promise<void> {
    const { connect, log, pause } = this.#options;
    const { signal } = this.#closed;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      try {
        const sender = await connect();
        if (signal.aborted) return sender.destroy();
        this.#sender = sender;
        this.#away = false;
        return this.#connecting.resolve(sender);
      } catch (error) {
        log.warn({ err: error }, 'Kafka cannot be reached by the publisher');
        await pause(pauseMs, signal);
      }
    }
  }

  #settle(batch: readonly Waiting[], error: Error | null): void {
    for (const { bytes, ticket } of batch) {
      this.#queued.records -= 1;
      this.#queued.bytes -= bytes;
      ticket.open -= 1;
      if (error !== null) ticket.reject(error);
      else if (ticket.open === 0) ticket.resolve();
    }
  }
}

function sizeOf({ key, value }: WireMessage): number {
  return MESSAGE_OVERHEAD_BYTES + (key === null ? 0 : Buffer.byteLength(key)) + (value?.length ?? 0);
}
