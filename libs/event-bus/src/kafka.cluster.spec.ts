import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { type ConversationId, DEFAULT_WORKSPACE, type MessageEntry, seq, type UserId } from '@parley/contracts';
import kafkajs from 'kafkajs';

import { eventBusConformance } from './conformance.js';
import type { BusRecord, EventBus } from './event-bus.js';
import {
  type KafkaEventBusConfig,
  type KafkaTopicsConfig,
  listDeadLetters,
  migrateEventBus,
  openEventBus,
  replayDeadLetters,
} from './index.js';

function brokers(): readonly string[] {
  const named = process.env['PARLEY_KAFKA_BROKERS'];
  if (named === undefined || named === '') throw new Error('PARLEY_KAFKA_BROKERS (host:port,…) is not set: no Kafka');
  return named.split(',');
}

let prefixes = 0;

interface Fixture {
  readonly config: { readonly adapter: 'kafka'; readonly prefix: string } & KafkaEventBusConfig & KafkaTopicsConfig;
  readonly bus: EventBus;
  close(): Promise<void>;
}

async function onKafka(more: Partial<KafkaEventBusConfig & KafkaTopicsConfig> = {}): Promise<Fixture> {
  const config = {
    adapter: 'kafka',
    brokers: brokers(),
    clientId: 'spec',
    ...more,
    prefix: `spec-${process.pid}-${Date.now()}-${(prefixes += 1)}.`,
    partitions: { messages: 3, inbox: 3, directory: 3, presence: 1 },
    pause: () => new Promise<void>((resolve) => setImmediate(resolve)),
  } as const;
  await migrateEventBus(config);
  const bus = await openEventBus(config);
  return {
    config,
    bus,
    async close() {
      await bus.close();
      await administer(async (admin) => {
        const topics = (await admin.listTopics()).filter((name) => name.startsWith(config.prefix));
        await admin.deleteTopics({ topics });
      });
    },
  };
}

async function administer<T>(ask: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const admin = new kafkajs.Kafka({ brokers: [...brokers()], clientId: 'spec', logLevel: 0 }).admin();
  await admin.connect();
  try {
    return await ask(admin);
  } finally {
    await admin.disconnect();
  }
}

eventBusConformance('kafka', async () => onKafka());

function presence(key: string): BusRecord<'presence'> {
  const value = { workspaceId: DEFAULT_WORKSPACE, userId: key as UserId, status: 'online', lastSeenAt: null } as const;
  return { key, value };
}

function message(at: number, text: string): MessageEntry {
  return {
    kind: 'message',
    conversationId: 'c_1' as ConversationId,
    seq: seq(at),
    id: `c_1.${at}`,
    senderId: 'u_1' as UserId,
    sentAt: '2026-01-01T00:00:00.000Z',
    content: { type: 'text', text },
  };
}

/** Resolves once so many records came. */
function collector<R>(): {
  readonly handle: (records: readonly R[]) => Promise<void>;
  readonly seen: R[];
  until(count: number): Promise<void>;
} {
  const seen: R[] = [];
  let check = (): void => undefined;
  return {
    seen,
    async handle(records) {
      seen.push(...records);
      check();
    },
    until: (count) =>
      new Promise((resolve) => {
        check = () => {
          if (seen.length >= count) resolve();
        };
        check();
      }),
  };
}

describe('the event bus on Kafka', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await onKafka();
  });
  afterEach(() => fixture.close());

  it('migrates again and from several instances at once, raises partitions, never lowers them', async () => {
    const { config } = fixture;
    const partitions = async (): Promise<number | undefined> =>
      administer(async (admin) => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [`${config.prefix}presence`] });
        return topics[0]?.partitions.length;
      });
    const raised = { ...config, partitions: { ...config.partitions, presence: 4 } };
    await Promise.all([migrateEventBus(raised), migrateEventBus(raised), migrateEventBus(raised)]);
    expect(await partitions()).toBe(4);
    await migrateEventBus(config);
    expect(await partitions()).toBe(4);
  });

  it('leaves the settings of a topic that an operator made', async () => {
    const { config } = fixture;
    const name = `${config.prefix}inbox`;
    const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name };
    await administer((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [{ ...resource, configEntries: [{ name: 'delete.retention.ms', value: '12345' }] }],
      }),
    );
    await migrateEventBus({ ...config, retentionMs: { inbox: 7_200_000 } });
    const { resources } = await administer((admin) =>
      admin.describeConfigs({ includeSynonyms: false, resources: [resource] }),
    );
    const values = new Map(resources[0]?.configEntries.map((each) => [each.configName, each.configValue]));
    expect([values.get('delete.retention.ms'), values.get('retention.ms')]).toEqual(['12345', '7200000']);
  });

  it('does not open without its topics, and says what to do', async () => {
    const config = { ...fixture.config, prefix: 'never-migrated.' };
    await expect(openEventBus(config)).rejects.toThrow('run the migration');
  });

  it('names the brokers that it cannot reach', async () => {
    const config = { ...fixture.config, brokers: ['127.0.0.1:1'], connectTimeoutMs: 500 };
    await expect(openEventBus(config)).rejects.toThrow('Kafka at 127.0.0.1:1');
  });

  it('splits a long record, and gives back every entry', async () => {
    const entries = Array.from({ length: 12 }, (_, index) => {
      const entry = message(index + 1, 'x'.repeat(250_000));
      const json = JSON.stringify(entry);
      return { entry, json, ordinal: index + 1, memberSeq: seq(0), prevMemberSeq: seq(0), receivedAtMs: 0 };
    });
    const { handle, seen, until } = collector<BusRecord<'messages'>>();
    await fixture.bus.subscribe({ topic: 'messages', group: 'g', handle });
    const conversationId = 'c_1' as ConversationId;
    const value = {
      workspaceId: DEFAULT_WORKSPACE,
      conversationId,
      type: 'group',
      history: 'joined',
      entries,
    } as const;
    await fixture.bus.publish('messages', [{ key: conversationId, value }]);
    await until(2);
    while (seen.flatMap((each) => each.value.entries).length < 12) await until(seen.length + 1);
    expect(seen.flatMap((each) => each.value.entries)).toEqual(entries);
  });

  it('makes what it cannot read a dead letter at once, and goes on', async () => {
    const { config, bus } = fixture;
    const producer = new kafkajs.Kafka({ brokers: [...brokers()], logLevel: 0 }).producer({
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    const { handle, seen, until } = collector<BusRecord<'presence'>>();
    await bus.subscribe({ topic: 'presence', group: 'g', handle });
    const topic = `${config.prefix}presence`;
    const noise = (value: string, v: string) => ({ key: 'a', value, headers: { v } });
    await producer.send({ topic, messages: [noise('{', '1'), noise('{}', '1'), noise('{}', '9')] });
    await producer.disconnect();
    await bus.publish('presence', [presence('a')]);
    await until(1);
    expect(seen).toEqual([presence('a')]);
    const letters = await bus.deadLetters('presence');
    expect(letters.map(({ value }) => value)).toEqual(['{', {}, {}]);
    expect(letters.map(({ error }) => error)).toEqual([
      'the record is not JSON',
      expect.stringContaining('userId'),
      expect.stringContaining('version 9'),
    ]);
  });

  it('lists dead letters by group and offset, and replays each once, to every group', async () => {
    const { config, bus } = fixture;
    let poisoned = true;
    const { handle, seen, until } = collector<BusRecord<'presence'>>();
    await bus.subscribe({
      topic: 'presence',
      group: 'g',
      async handle(records) {
        if (poisoned && records.some(({ key }) => key.startsWith('bad'))) throw new Error('poison');
        await handle(records);
      },
    });
    await bus.publish('presence', ['bad-1', 'good-1', 'bad-2', 'good-2'].map(presence));
    await until(2);
    await bus.publish('presence', [presence('good-3')]);
    await until(3);
    const listed = await listDeadLetters(config, { topic: 'presence', group: 'g' });
    expect(listed.map(({ key, offset, replayed }) => [key, offset, replayed])).toEqual([
      ['bad-1', '0', false],
      ['bad-2', '1', false],
    ]);
    expect(await listDeadLetters(config, { topic: 'presence', group: 'another' })).toEqual([]);
    expect(await listDeadLetters(config, { topic: 'presence', fromOffset: '1' })).toMatchObject([{ key: 'bad-2' }]);
    poisoned = false;
    expect(await replayDeadLetters(config, { topic: 'presence', limit: 1 })).toEqual({ replayed: 1, left: 1 });
    expect(await replayDeadLetters(config, { topic: 'presence' })).toEqual({ replayed: 1, left: 0 });
    expect(await replayDeadLetters(config, { topic: 'presence' })).toEqual({ replayed: 0, left: 0 });
    await until(5);
    expect(seen.slice(3).map(({ key }) => key)).toEqual(['bad-1', 'bad-2']);
    expect(await listDeadLetters(config, { topic: 'presence' })).toMatchObject([
      { replayed: true },
      { replayed: true },
    ]);
  });

  it('goes on where the group left off', async () => {
    const { bus } = fixture;
    const first = collector<BusRecord<'presence'>>();
    const subscription = await bus.subscribe({ topic: 'presence', group: 'g', handle: first.handle });
    await bus.publish('presence', [presence('a')]);
    await first.until(1);
    await subscription.close();
    await bus.publish('presence', [presence('b')]);
    const second = collector<BusRecord<'presence'>>();
    await bus.subscribe({ topic: 'presence', group: 'g', handle: second.handle });
    await second.until(1);
    expect(second.seen).toEqual([presence('b')]);
  });

  it('leaves no group behind that was only its own', async () => {
    const { config, bus } = fixture;
    const subscription = await bus.subscribe({
      topic: 'presence',
      group: 'g',
      every: true,
      handle: async () => undefined,
    });
    const groups = async (): Promise<number> => {
      const listed = await administer((admin) => admin.listGroups());
      return listed.groups.filter(({ groupId }) => groupId.startsWith(config.prefix)).length;
    };
    expect(await groups()).toBe(1);
    await subscription.close();
    expect(await groups()).toBe(0);
  });

  it('refuses what would exceed its bound, wholly and at once', async () => {
    const small = await openEventBus({ ...fixture.config, queueMaxRecords: 3 });
    const first = small.publish('presence', [presence('a'), presence('b')]);
    const refused = small.publish('presence', [presence('c'), presence('d')]);
    await expect(refused).rejects.toMatchObject({ code: 'overloaded' });
    await first;
    await small.close();
  });
});
