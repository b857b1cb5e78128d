import { Cluster } from 'ioredis';

import { ParleyError } from '@parley/contracts';

import { keyOf, type RedisCall, type Words, wordsOf } from './calls.js';
import { backoffMs, type Client, clientOf } from './client.js';
import { addressOf, DEFAULTS, type RedisConfig } from './config.js';
import { asError, failureOf, inTime, NO_SCRIPT, REDIRECTED, unavailable } from './failures.js';
import { slotOf } from './slots.js';
import { ShardedSubscriber, type SubscriberNode } from './subscriber.js';

/** Calls that wait for their answers in one process; beyond, `overloaded`. */
const PENDING_MAX = 200_000;
/** What each call of a batch adds to the time that the batch may take. */
const PER_CALL_MS = 0.1;

/** An answer of the server: strings, numbers, null and lists of them. */
export type Reply = string | number | null | readonly Reply[];
type Answer = { readonly reply: Reply } | { readonly error: Error };

/**
 * A process's connection to Redis, shared by its adapters.
 *
 * - A call is answered or rejects with `ParleyError('unavailable')`: at once while the server is known to be away, within
 *   the command timeout otherwise. A call that rejected may have been carried out.
 * - It comes back by itself, with at most a second between attempts. Scripts are learnt by a server that lost them.
 * - A batch is one round trip; on a Redis Cluster one to each node that has keys of it, at the same time.
 */
export class RedisConnection {
  readonly keyPrefix: string;
  readonly #client: Client;
  readonly #timeoutMs: number;
  #reachable = true;
  #pending = 0;

  constructor(
    client: Client,
    private readonly config: RedisConfig,
  ) {
    this.keyPrefix = config.keyPrefix ?? DEFAULTS.keyPrefix;
    this.#client = client;
    this.#timeoutMs = config.commandTimeoutMs ?? DEFAULTS.commandTimeoutMs;
    client.on('ready', () => this.#tell(true, 'connected'));
    client.on('close', () => this.#tell(false, 'the connection was closed'));
    client.on('error', (error: Error) => this.#tell(false, error.message));
  }

  get reachable(): boolean {
    return this.#client.status === 'ready';
  }

  async call(call: RedisCall): Promise<Reply> {
    const [reply = null] = await this.batch([call]);
    return reply;
  }

  /** Answers in order of the calls; rejects with the first failure after all were answered. */
  async batch(calls: readonly RedisCall[]): Promise<readonly Reply[]> {
    if (calls.length === 0) return [];
    this.#admit(calls.length);
    const answers = this.#answers(calls).finally(() => (this.#pending -= calls.length));
    return (await inTime(answers, this.#timeoutMs + calls.length * PER_CALL_MS)).map((answer) => {
      if ('error' in answer) throw failureOf(answer.error);
      return answer.reply;
    });
  }

  /** Publishes to a shard channel. */
  async publish(channel: string, message: string | Uint8Array): Promise<void> {
    this.#admit(1);
    const buffer =
      typeof message === 'string' ? message : Buffer.from(message.buffer, message.byteOffset, message.length);
    const published = this.#client.spublish(channel, buffer).finally(() => (this.#pending -= 1));
    try {
      await inTime(published, this.#timeoutMs);
    } catch (error) {
      throw failureOf(asError(error));
    }
  }

  /** A subscriber on connections of its own, one to each node that has a channel; resolves when it is connected. */
  async subscriber(receive: (channel: string, message: Buffer) => void): Promise<ShardedSubscriber> {
    const client = this.#client;
    const subscriber = new ShardedSubscriber({
      receive,
      timeoutMs: this.#timeoutMs,
      nodeOf: (channel) => this.#nodeOf(channel),
      grouped: client instanceof Cluster ? slotOf : () => 0,
      open: (node): SubscriberNode | null => {
        const known =
          client instanceof Cluster
            ? client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === node)
            : client;
        return known?.duplicate({ retryStrategy: backoffMs, lazyConnect: true, enableReadyCheck: false }) ?? null;
      },
    });
    await subscriber.start(this.config.connectTimeoutMs ?? DEFAULTS.connectTimeoutMs);
    return subscriber;
  }

  async close(): Promise<void> {
    this.#reachable = false;
    const ended = Promise.withResolvers<void>();
    this.#client.once('end', ended.resolve);
    // Between attempts there is nothing to end, and ioredis does not say 'end'.
    if (this.#client.status !== 'ready') ended.resolve();
    this.#client.disconnect();
    await ended.promise;
  }

  /** Refuses at once what cannot be answered. */
  #admit(calls: number): void {
    if (!this.reachable) throw unavailable(`${addressOf(this.config)} is not connected`);
    if (this.#pending + calls > PENDING_MAX) throw new ParleyError('overloaded', 'Redis: too much is waiting');
    this.#pending += calls;
  }

  async #answers(calls: readonly RedisCall[]): Promise<readonly Answer[]> {
    const answers = [...(await this.#send(calls, (call) => wordsOf(call)))];
    const failed = (kind: RegExp): number[] =>
      answers.flatMap((answer, index) => ('error' in answer && kind.test(answer.error.message) ? [index] : []));
    const unknown = failed(NO_SCRIPT);
    const learnt = await this.#learn(unknown.flatMap((index) => calls[index] ?? []));
    learnt.forEach((answer, at) => (answers[unknown[at] ?? -1] = answer));
    await Promise.all(
      failed(REDIRECTED).map(async (index) => {
        const call = calls[index];
        if (call !== undefined) answers[index] = await this.#alone(wordsOf(call, true));
      }),
    );
    return answers;
  }

  /** Sends the text of each script once to each node, and its digest after that. */
  #learn(calls: readonly RedisCall[]): Promise<readonly Answer[]> {
    const told = new Set<string>();
    return this.#send(calls, (call) => {
      const node = `${this.#nodeOf(keyOf(call))} ${'script' in call ? call.script.sha : ''}`;
      const learn = !told.has(node);
      told.add(node);
      return wordsOf(call, learn);
    });
  }

  async #alone(words: Words): Promise<Answer> {
    const [name, ...args] = words;
    try {
      return { reply: (await this.#client.call(name, ...args)) as Reply };
    } catch (error) {
      return { error: asError(error) };
    }
  }

  /** ioredis takes a pipeline for one node only. */
  async #send(calls: readonly RedisCall[], words: (call: RedisCall) => Words): Promise<readonly Answer[]> {
    const nodes = new Map<string, number[]>();
    calls.forEach((call, index) => {
      const node = this.#nodeOf(keyOf(call)) ?? '';
      const ofNode = nodes.get(node);
      if (ofNode === undefined) nodes.set(node, [index]);
      else ofNode.push(index);
    });
    const answers: Answer[] = Array.from({ length: calls.length });
    await Promise.all(
      [...nodes.values()].map(async (indexes) => {
        const pipeline = this.#client.pipeline();
        for (const index of indexes) {
          const call = calls[index];
          if (call === undefined) continue;
          const [name, ...args] = words(call);
          pipeline.call(name, ...args);
        }
        const replies = await pipeline.exec().catch((error: unknown) => asError(error));
        indexes.forEach((index, at) => {
          const [error, reply] = replies instanceof Error ? [replies] : (replies?.[at] ?? [new Error('no answer')]);
          answers[index] = error === null ? { reply: reply as Reply } : { error };
        });
      }),
    );
    return answers;
  }

  /** Null while a cluster does not say who has the slot. */
  #nodeOf(key: string): string | null {
    return this.#client instanceof Cluster ? (this.#client.slots[slotOf(key)]?.[0] ?? null) : 'only';
  }

  #tell(reachable: boolean, reason: string): void {
    if (reachable === this.#reachable) return;
    this.#reachable = reachable;
    this.config.onReachable?.(reachable, reason);
  }
}

/** Connects, trying again until the configured time is over, and then says where nobody answered. */
export async function connectRedis(config: RedisConfig): Promise<RedisConnection> {
  const client = clientOf(config);
  const connection = new RedisConnection(client, config);
  const address = addressOf(config);
  let last = 'no answer';
  const note = (error: Error): void => {
    last = error.message;
  };
  client.on('error', note);
  const ready = Promise.withResolvers<void>();
  client.once('ready', ready.resolve);
  const overdue = Promise.withResolvers<never>();
  const deadline = setTimeout(
    () => overdue.reject(new Error(`Redis at ${address} could not be reached: ${last}`)),
    config.connectTimeoutMs ?? DEFAULTS.connectTimeoutMs,
  );
  try {
    client.connect().catch(note);
    await Promise.race([ready.promise.then(() => nodesReady(client)), overdue.promise]);
    await refuseOld(client, address);
  } catch (error) {
    await connection.close();
    throw error;
  } finally {
    clearTimeout(deadline);
    client.off('error', note);
  }
  return connection;
}

async function nodesReady(client: Client): Promise<void> {
  if (!(client instanceof Cluster)) return;
  await Promise.all(
    client
      .nodes('master')
      .map((node) => node.status === 'ready' || new Promise((resolve) => node.once('ready', resolve))),
  );
}

async function refuseOld(client: Client, address: string): Promise<void> {
  const [, major] = /^redis_version:(\d+)\./m.exec(await client.info('server')) ?? [];
  if (major !== undefined && Number(major) < 7) throw new Error(`Redis at ${address} is older than 7.0`);
}
