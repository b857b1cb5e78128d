import type { Topic } from '@parley/contracts';
import type { EachBatchPayload, KafkaMessage } from 'kafkajs';

import { messageOf } from './deadline.js';
import type { BusRecord } from './event-bus.js';
import { type Attempt, handleInOrder, type RetryPolicy } from './handle-in-order.js';
import { headerOf } from './kafka-dead-letters.js';
import { decodeValue, UnreadableRecord } from './record-codec.js';

export interface BatchOptions<T extends Topic> {
  readonly topic: T;
  readonly handle: (records: readonly BusRecord<T>[]) => Promise<void>;
  readonly maxBatch: number;
  readonly retry: RetryPolicy;
  /** Aborts when the consumer closes, ends, or no longer has the partition. */
  readonly stopped: AbortSignal;
  /** Resolves once the letter is safe. */
  readonly bury: (partition: number, message: KafkaMessage, error: unknown) => Promise<void>;
  /** Everything up to this offset is done with. */
  readonly done: (partition: number, offset: string) => void;
}

type Readable<T extends Topic> =
  | { readonly message: KafkaMessage; readonly record: BusRecord<T> }
  | { readonly message: KafkaMessage; readonly unreadable: Error };

/** Hands one partition's records on in order, at most `maxBatch` at once; what cannot be read is buried in its turn. */
export async function handleBatch<T extends Topic>(
  { batch, isStale }: Pick<EachBatchPayload, 'batch' | 'isStale'>,
  options: BatchOptions<T>,
): Promise<void> {
  const { topic, maxBatch, retry, stopped } = options;
  const { partition, messages } = batch;
  const done = ({ message }: Readable<T>): void => {
    options.done(partition, message.offset);
  };
  for (let at = 0; at < messages.length;) {
    if (stopped.aborted || isStale()) return;
    const chunk = nextChunk(topic, messages, at, maxBatch);
    at += chunk.length;
    const finished = await handleInOrder(chunk, {
      attempt: (records) => attempt(records, options),
      // Reading it again does not make it readable.
      retry: chunk.some(isUnreadable) ? { ...retry, attempts: 1 } : retry,
      stopped,
      deadLetter: ({ message }, error) => options.bury(partition, message, error),
      done,
    });
    if (!finished) return;
  }
}

/** Readable records up to the bound, or one that is not, alone. */
function nextChunk<T extends Topic>(
  topic: T,
  messages: readonly KafkaMessage[],
  from: number,
  maxBatch: number,
): readonly Readable<T>[] {
  const chunk: Readable<T>[] = [];
  for (const message of messages.slice(from, from + maxBatch)) {
    const next = read(topic, message);
    if (isUnreadable(next)) return chunk.length === 0 ? [next] : chunk;
    chunk.push(next);
  }
  return chunk;
}

function read<T extends Topic>(topic: T, message: KafkaMessage): Readable<T> {
  try {
    if (message.key === null || message.value === null) throw new UnreadableRecord('the record has no key or no value');
    const value = decodeValue(topic, headerOf(message, 'v'), message.value);
    return { message, record: { key: message.key.toString(), value } };
  } catch (error) {
    return { message, unreadable: error instanceof Error ? error : new UnreadableRecord(messageOf(error)) };
  }
}

function isUnreadable<T extends Topic>(each: Readable<T>): each is Extract<Readable<T>, { unreadable: Error }> {
  return 'unreadable' in each;
}

async function attempt<T extends Topic>(
  chunk: readonly Readable<T>[],
  { handle, stopped }: BatchOptions<T>,
): Promise<Attempt> {
  if (stopped.aborted) return { kind: 'stopped' };
  try {
    const records = chunk.map((each) => {
      if (isUnreadable(each)) throw each.unreadable;
      return each.record;
    });
    await handle(records);
    return { kind: 'handled' };
  } catch (error) {
    return { kind: 'threw', error };
  }
}
