import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { errors } from 'cassandra-driver';
import { createServer } from 'node:net';

import { type ConversationId, seq, type StoredEntry } from '@parley/contracts';

import { type Keyspace, makeKeyspace, shutDown, Tampered } from './cassandra-fixture.js';
import { CassandraConversationLog } from './cassandra.js';
import { ANN, BOB, edit, message, place, positionOf, remove, Scribe, START } from './conformance-entries.js';
import { openConversationLog } from './index.js';

const BUCKET = 7;
const MINUTE_MS = 60_000;

describe('the Cassandra log when something breaks', () => {
  let keyspace: Keyspace;
  let cql: Tampered;
  let log: CassandraConversationLog;
  let other: CassandraConversationLog;
  let nowMs = 0;
  let conversations = 0;

  beforeAll(async () => {
    keyspace = await makeKeyspace();
  });
  afterAll(() => keyspace.drop());
  beforeEach(async () => {
    await keyspace.emptyJournal();
    nowMs = Date.parse('2026-01-01T00:00:30.000Z');
    const config = { ...keyspace.config, bucketEntries: BUCKET, nowMs: () => nowMs };
    cql = await Tampered.connect(keyspace.config);
    log = CassandraConversationLog.over(cql, config);
    other = await CassandraConversationLog.open(config);
  });
  afterEach(async () => {
    await log.close();
    await other.close();
  });

  const newId = (): ConversationId => `c_${(conversations += 1)}` as ConversationId;
  const readAll = (from: CassandraConversationLog, id: ConversationId): Promise<readonly StoredEntry[]> =>
    from.read(id, { after: seq(0), limit: 1_000 });
  const timedOut = () => new errors.OperationTimedOutError('too late');
  const first = (id: ConversationId) => place(id, START, [message(ANN, 'first')]);

  it('has no hole and no entry twice after two logs raced for one conversation, across partitions', async () => {
    const id = newId();
    const acknowledged: string[] = [];
    const race = async (racer: CassandraConversationLog, name: string): Promise<void> => {
      let at = START;
      for (let round = 0; round < 60;) {
        const drafts = [1, 2, 3]
          .slice(0, racer.appendLimit(seq(at.seq)))
          .map((n) => message(ANN, `${name} ${round} ${n}`));
        const entries = place(id, at, drafts);
        const outcome = await racer.append(id, seq(at.seq), entries, name);
        if (outcome.kind === 'appended') {
          acknowledged.push(...entries.map(({ json }) => json));
          at = positionOf(entries);
          round += 1;
        } else if (outcome.missed.length > 0) {
          at = positionOf(outcome.missed);
        }
      }
    };
    await Promise.all([race(log, 'one'), race(other, 'two')]);
    const entries = await readAll(log, id);
    expect(entries.map(({ entry }) => entry.seq)).toEqual(entries.map((_, index) => index + 1));
    expect(entries.map(({ ordinal }) => ordinal)).toEqual(entries.map((_, index) => index + 1));
    expect(entries.map(({ json }) => json).sort()).toEqual(acknowledged.sort());
    expect(await other.head(id)).toMatchObject({ seq: entries.length });
  });

  it('sees the head in a partition that was opened while it looked for the newest', async () => {
    const id = newId();
    const scribe = new Scribe(other, id);
    await scribe.write(...Array.from({ length: BUCKET - 1 }, () => message(ANN, 'x')));
    cql.beforeExecute = async (query) => {
      if (!query.includes('SELECT DISTINCT')) return;
      cql.beforeExecute = () => Promise.resolve();
      await scribe.write(...Array.from({ length: 3 }, () => message(ANN, 'x')));
    };
    expect(await log.head(id)).toMatchObject({ seq: BUCKET + 2, ordinal: BUCKET + 2 });
  });

  it('knows that an append went in whose answer was lost', async () => {
    const id = newId();
    cql.afterBatch = () => timedOut();
    expect(await log.append(id, seq(0), first(id))).toMatchObject({ kind: 'appended', head: { seq: 1, ordinal: 1 } });
    expect(await readAll(other, id)).toHaveLength(1);
  });

  it('answers with a conflict when another append went in while the answer was lost', async () => {
    const id = newId();
    const theirs = place(id, START, [message(BOB, 'theirs')]);
    cql.beforeBatch = async () => {
      await other.append(id, seq(0), theirs);
      throw timedOut();
    };
    expect(await log.append(id, seq(0), first(id))).toMatchObject({ kind: 'conflict', missed: theirs });
  });

  it('says nothing of an append that is not there, for it may still come', async () => {
    const id = newId();
    cql.beforeBatch = () => Promise.reject(timedOut());
    await expect(log.append(id, seq(0), first(id))).rejects.toMatchObject({ code: 'unavailable' });
    cql.afterBatch = () => timedOut();
    cql.beforeSerialRead = () => Promise.reject(timedOut());
    await expect(log.append(id, seq(0), first(id))).rejects.toMatchObject({ code: 'unavailable' });
    expect(await readAll(other, id)).toHaveLength(1);
    expect(await log.append(id, seq(0), first(id))).toMatchObject({ kind: 'conflict', head: { seq: 1 } });
  });

  it('finishes the redaction of another partition that was left undone, when the log is sealed', async () => {
    const id = newId();
    const scribe = new Scribe(log, id);
    await scribe.write(message(ANN, 'SECRET', { mentions: ['u_bob'] }), edit(ANN, 1, 'SECRET 2'));
    await scribe.write(...Array.from({ length: 8 }, (_, index) => message(BOB, `${index}`)));
    const deleting = place(id, scribe.at, [remove(ANN, 1)]);
    // The first conditional batch is the append, the others are the redactions.
    cql.beforeBatch = () => {
      cql.beforeBatch = () => Promise.reject(timedOut());
      return Promise.resolve();
    };
    await expect(log.append(id, seq(10), deleting)).rejects.toMatchObject({ code: 'unavailable' });
    const texts = async (): Promise<string> =>
      JSON.stringify([
        await other.readMessages(id, { after: seq(0), take: 'first', limit: 1 }),
        await other.read(id, { after: seq(0), limit: 2 }),
      ]);
    expect(await texts()).toContain('SECRET');
    expect(JSON.stringify(await readAll(other, id))).not.toContain('SECRET');
    expect(await other.unsealed(10)).toEqual([id]);
    await other.seal(id, seq(11));
    expect(await texts()).not.toContain('SECRET');
    expect(await other.tally([{ conversationId: id, userId: BOB, afterSeq: seq(0) }])).toEqual([
      { unread: 0, mentions: 0 },
    ]);
  });

  it('finds client ids that were recorded from memory, and from the log by another', async () => {
    const id = newId();
    const scribe = new Scribe(log, id);
    const clientIds = Array.from({ length: 20 }, (_, index) => `k${index}`);
    const entries = await scribe.write(...clientIds.map((clientId) => message(ANN, 'x', { clientId })));
    await log.seal(id, seq(9));
    await other.seal(id, seq(20));
    expect((await other.head(id)).sealedSeq).toBe(20);
    const found = await log.findClientIds(
      id,
      clientIds.map((clientId) => ({ senderId: ANN, clientId })),
      0,
    );
    expect([...found.values()]).toEqual(entries);
  });

  it('finds what a dead writer left, and forgets its minutes once they are over and sealed', async () => {
    const [one, two] = [newId(), newId()];
    await new Scribe(log, one, 'dead.1').write(message(ANN, '1'));
    nowMs += MINUTE_MS;
    await new Scribe(log, two, 'dead.1').write(message(ANN, '1'));
    await new Scribe(log, newId(), 'alive.1').write(message(ANN, '1'));
    const gone = (writer: string): boolean => writer === 'dead.1';
    expect([...(await other.unsealed(10, gone))].sort()).toEqual([one, two].sort());
    expect(await other.unsealed(1, gone)).toHaveLength(1);
    await other.seal(one, seq(1));
    expect(await other.unsealed(10, gone)).toEqual([two]);
    await other.seal(two, seq(1));
    expect(await other.unsealed(10, gone)).toEqual([]);
    expect(await keyspace.count('writers')).toBe(2);
    nowMs += 10 * MINUTE_MS;
    expect(await other.unsealed(10, gone)).toEqual([]);
    expect([await keyspace.count('writers'), await keyspace.count('journal')]).toEqual([1, 1]);
  });

  it('removes the rows of a minute that is over when all in it is sealed', async () => {
    const scribes = [new Scribe(log, newId()), new Scribe(log, newId())];
    for (const scribe of scribes) await scribe.write(message(ANN, '1'));
    expect(await keyspace.count('journal')).toBe(2);
    nowMs += MINUTE_MS;
    for (const [index, scribe] of scribes.entries()) {
      expect(await keyspace.count('journal')).toBe(2);
      await log.seal(scribe.conversationId, seq(1));
      expect(await log.unsealed(10)).toHaveLength(1 - index);
    }
    expect(await keyspace.count('journal')).toBe(0);
  });

  it('does not acknowledge an append of which nothing would be found', async () => {
    const id = newId();
    cql.beforeExecute = (query) => (query.includes('INTO journal') ? Promise.reject(timedOut()) : Promise.resolve());
    await expect(log.append(id, seq(0), first(id))).rejects.toMatchObject({ code: 'unavailable' });
    cql.beforeExecute = () => Promise.resolve();
    expect(await log.append(id, seq(0), first(id))).toMatchObject({ kind: 'conflict' });
    const again = place(id, positionOf(first(id)), [message(ANN, 'second')]);
    expect(await log.append(id, seq(1), again)).toMatchObject({ kind: 'appended' });
    expect(await other.unsealed(10)).toEqual([id]);
  });

  it('refuses appends beyond its bound as overloaded', async () => {
    const bounded = await CassandraConversationLog.open({
      ...keyspace.config,
      appendsInFlightMax: 1,
      appendQueueMax: 1,
    });
    const outcomes = await Promise.allSettled(
      [newId(), newId(), newId()].map((id) => bounded.append(id, seq(0), first(id))),
    );
    expect(outcomes).toMatchObject([
      { status: 'fulfilled' },
      { status: 'fulfilled' },
      { status: 'rejected', reason: { code: 'overloaded' } },
    ]);
    await bounded.close();
    await expect(bounded.head(newId())).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('names the address that cannot be reached, and the keyspace that was not migrated', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await shutDown(server);
    const config = { ...keyspace.config, adapter: 'cassandra', connectTimeoutMs: 0 } as const;
    const nowhere = `127.0.0.1:${port}`;
    await expect(openConversationLog({ ...config, contactPoints: [nowhere] })).rejects.toThrow(nowhere);
    await expect(openConversationLog({ ...config, keyspace: 'test_never_made' })).rejects.toThrow('run the migration');
  });
});
