import { randomUUID } from 'node:crypto';

import type { Topic } from '@parley/contracts';
import type { Admin, KafkaMessage } from 'kafkajs';

import { within } from './deadline.js';
import type { DeadLetter } from './event-bus.js';
import { KafkaClient, withAdmin } from './kafka-client.js';
import { deadTopicName, groupName, type KafkaConnection, topicName } from './kafka-config.js';
import { deathOf, fromDeadMessage, toOriginalMessage } from './kafka-dead-letters.js';
import { KafkaSender } from './kafka-sender.js';

/** The one partition of a topic of dead letters. */
const PARTITION = 0;
const LIST_LIMIT = 100;
const LIST_MAX = 1_000;
/** Looked through for letters of one group; what is older has to be asked for by offset. */
const SCAN_MAX = 10_000;
const READ_TIMEOUT_MS = 30_000;
const READ_RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5 };
const REPLAY_GROUP = 'dead-letter-replay';
const REPLAY_LIMIT = 1_000;
const REPLAY_BYTES = 900_000;

export interface StoredDeadLetter extends DeadLetter {
  /** Its place among the dead letters of its topic. */
  readonly offset: string;
  /** Where the record was. */
  readonly partition: number;
  readonly sourceOffset: string;
  readonly replayed: boolean;
}

export interface DeadLetterQuery {
  readonly topic: Topic;
  readonly group?: string;
  /** From this offset on, oldest first; without, the newest. */
  readonly fromOffset?: string;
  /** Default 100, at most 1,000. */
  readonly limit?: number;
}

/** Oldest first. Looks at 10,000 letters at most. */
export async function listDeadLetters(
  connection: KafkaConnection,
  { topic, group, fromOffset, limit = LIST_LIMIT }: DeadLetterQuery,
): Promise<readonly StoredDeadLetter[]> {
  const { low, high, replayed } = await withAdmin(connection, READ_TIMEOUT_MS, (admin) =>
    extent(admin, connection, topic),
  );
  const most = Math.max(1, Math.min(limit, LIST_MAX));
  const newest = fromOffset === undefined;
  const scan = BigInt(newest && group === undefined ? most : SCAN_MAX);
  const from = later(low, newest ? high - scan : BigInt(fromOffset));
  const upTo = high < from + scan ? high : from + scan;
  const letters: StoredDeadLetter[] = [];
  await readDeadTopic(connection, topic, { groupId: ownGroup(connection, topic), from, upTo }, async (messages) => {
    for (const message of messages) {
      const letter = fromDeadMessage(topic, message);
      if (group !== undefined && letter.group !== group) continue;
      if (!newest && letters.length >= most) return false;
      const { offset } = message;
      letters.push({ ...letter, ...deathOf(message), offset, replayed: BigInt(offset) < replayed });
      if (letters.length > most) letters.shift();
    }
    return true;
  });
  return letters;
}

export interface Replay {
  readonly replayed: number;
  /** Letters that are still to be replayed. */
  readonly left: number;
}

/**
 * Publishes the dead letters that were not replayed yet to their topic again, oldest first, and remembers how far it
 * came. Every group of the topic gets the record again, not only the one where it died: consumers are idempotent. A
 * replay that breaks off may publish its last letters again. Two at once share one position: the later one fails.
 */
export async function replayDeadLetters(
  connection: KafkaConnection,
  { topic, limit = REPLAY_LIMIT }: { readonly topic: Topic; readonly limit?: number },
): Promise<Replay> {
  const {
    low,
    high,
    replayed: from,
  } = await withAdmin(connection, READ_TIMEOUT_MS, (admin) => extent(admin, connection, topic));
  const start = later(low, from);
  const upTo = high < start + BigInt(limit) ? high : start + BigInt(limit);
  if (start >= upTo) return { replayed: 0, left: 0 };
  const target = topicName(connection, topic);
  const groupId = groupName(connection, topic, REPLAY_GROUP);
  const sender = await KafkaSender.connect(connection);
  let replayed = 0;
  try {
    await readDeadTopic(connection, topic, { groupId, from: null, upTo }, async (messages, commit) => {
      for (const chunk of chunks(messages)) {
        await sender.send(chunk.map((message) => ({ topic: target, message: toOriginalMessage(message) })));
        replayed += chunk.length;
        await commit(BigInt(chunk.at(-1)?.offset ?? -1) + 1n);
      }
      return true;
    });
  } finally {
    sender.destroy();
  }
  return { replayed, left: Number(high - upTo) };
}

interface Extent {
  readonly low: bigint;
  readonly high: bigint;
  /** Everything below was replayed. */
  readonly replayed: bigint;
}

async function extent(admin: Admin, connection: KafkaConnection, topic: Topic): Promise<Extent> {
  const name = deadTopicName(connection, topic);
  const [ends] = await admin.fetchTopicOffsets(name);
  const groupId = groupName(connection, topic, REPLAY_GROUP);
  const [offsets] = await admin.fetchOffsets({ groupId, topics: [name] });
  const replayed = later(0n, BigInt(offsets?.partitions[0]?.offset ?? -1));
  return { low: BigInt(ends?.low ?? 0), high: BigInt(ends?.high ?? 0), replayed };
}

type Take = (messages: readonly KafkaMessage[], commit: (nextOffset: bigint) => Promise<void>) => Promise<boolean>;

interface Range {
  readonly groupId: string;
  /** `null`: where the group stands. */
  readonly from: bigint | null;
  readonly upTo: bigint;
}

/** Reads a range of dead letters, until there are no more or no more are wanted. */
async function readDeadTopic(connection: KafkaConnection, topic: Topic, range: Range, take: Take): Promise<void> {
  const { groupId, from, upTo } = range;
  if (upTo <= 0n || (from !== null && from >= upTo)) return;
  const name = deadTopicName(connection, topic);
  const client = new KafkaClient(connection, { requestTimeoutMs: 5_000, retry: READ_RETRY });
  const consumer = client.kafka.consumer({
    groupId,
    maxWaitTimeInMs: 300,
    sessionTimeout: 10_000,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 1_000,
    allowAutoTopicCreation: false,
    retry: { ...READ_RETRY, restartOnFailure: async () => false },
  });
  const finished = Promise.withResolvers<void>();
  consumer.on(consumer.events.CRASH, ({ payload }) => finished.reject(payload.error));
  consumer.on(consumer.events.GROUP_JOIN, () => {
    if (from !== null) consumer.seek({ topic: name, partition: PARTITION, offset: String(from) });
  });
  const read = async (): Promise<void> => {
    await consumer.connect();
    await consumer.subscribe({ topics: [name], fromBeginning: true });
    let over = false;
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      async eachBatch({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary }) {
        if (over) return;
        const wanted = batch.messages.filter(({ offset }) => BigInt(offset) < upTo);
        try {
          const more = await take(wanted, async (nextOffset) => {
            const partitions = [{ partition: PARTITION, offset: String(nextOffset) }];
            await commitOffsetsIfNecessary({ topics: [{ topic: name, partitions }] });
            await heartbeat();
          });
          resolveOffset(batch.lastOffset());
          over = !more || BigInt(batch.lastOffset()) >= upTo - 1n;
        } catch (error) {
          over = true;
          finished.reject(error);
        }
        if (over) finished.resolve();
      },
    });
    await finished.promise;
  };
  try {
    await within(READ_TIMEOUT_MS, `Reading ${name}`, read());
    await within(READ_TIMEOUT_MS, `Leaving ${groupId}`, consumer.disconnect());
  } finally {
    finished.promise.catch(() => undefined);
    client.destroy();
    if (from !== null) await withAdmin(connection, READ_TIMEOUT_MS, (admin) => admin.deleteGroups([groupId]));
  }
}

/** A group of one reading. */
function ownGroup(connection: KafkaConnection, topic: Topic): string {
  return groupName(connection, topic, `dead-letter-list-${randomUUID()}`);
}

function later(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}

function* chunks(messages: readonly KafkaMessage[]): Generator<readonly KafkaMessage[]> {
  let chunk: KafkaMessage[] = [];
  let bytes = 0;
  for (const message of messages) {
    const size = (message.value?.length ?? 0) + (message.key?.length ?? 0);
    if (chunk.length > 0 && bytes + size > REPLAY_BYTES) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(message);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
