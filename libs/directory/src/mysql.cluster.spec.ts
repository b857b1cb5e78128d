import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { seq, type UserId } from '@parley/contracts';

import { directoryConformance } from './conformance.js';
import {
  apply,
  at,
  freshUserId,
  freshWorkspace,
  memberEntry,
  newConversation,
  newUser,
} from './conformance-builders.js';
import type { Directory } from './directory.js';
import { migrateDirectory, openDirectory } from './index.js';
import { type TestDatabase, testDatabase } from './mysql-fixture.js';
import { openMysqlStore } from './mysql.js';

directoryConformance('MySQL', async () => {
  const { config, drop } = await testDatabase();
  await migrateDirectory(config);
  let current: Directory = await openDirectory(config);
  return {
    directory: current,
    async reopen() {
      await current.close();
      current = await openDirectory(config);
      return current;
    },
    async close() {
      await current.close();
      await drop();
    },
  };
});

describe('two processes on one MySQL', () => {
  let database: TestDatabase;
  let both: [Directory, Directory];
  beforeAll(async () => {
    database = await testDatabase();
    await migrateDirectory(database.config);
    both = [await openDirectory(database.config), await openDirectory(database.config)];
  });
  afterAll(async () => {
    await Promise.all(both.map((directory) => directory.close()));
    await database.drop();
  });
  /** `times` calls at once, every other one through the other process. */
  const spread = <T>(times: number, call: (directory: Directory, n: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: times }, (_, n) => call(both[n % 2 === 0 ? 0 : 1], n)));

  it('apply the same entries once, and only forward', async () => {
    const conversation = newConversation(freshWorkspace(), 'group', [freshUserId()]);
    const { id } = conversation;
    await both[0].createConversation(conversation);
    const people = Array.from({ length: 300 }, freshUserId);
    const log = [
      memberEntry(id, 1, 'added', people, 'guest'),
      memberEntry(id, 2, 'removed', people.slice(0, 100)),
      memberEntry(id, 3, 'added', people.slice(50, 150)),
      memberEntry(id, 4, 'role', people.slice(0, 200), 'admin'),
    ];
    const seen = await spread(20, (directory, n) => apply(directory, id, 0, log.slice(0, 1 + (n % 4))));
    for (const facts of seen) expect(facts?.appliedSeq).toBeGreaterThanOrEqual(1);
    expect(await both[1].conversation(id)).toMatchObject({ appliedSeq: 4, memberCount: 251 });
    const rows = await both[1].allMemberships(id);
    expect(rows).toHaveLength(351);
    expect(rows.filter((row) => row.role === 'admin')).toHaveLength(150);
  });

  it('give a username to one of those who register it', async () => {
    const workspaceId = freshWorkspace();
    const outcomes = await spread(20, (directory) =>
      directory.createUser(newUser({ workspaceId, username: 'wanted' }), at(0)),
    );
    expect(outcomes.filter(({ kind }) => kind === 'created')).toHaveLength(1);
    expect(new Set(outcomes.map(({ user }) => user.id)).size).toBe(1);
  });

  it('have one admin of a workspace that many join first', async () => {
    const workspaceId = freshWorkspace();
    const outcomes = await spread(20, (directory) => directory.createUser(newUser({ workspaceId }), at(0)));
    expect(outcomes.filter(({ user }) => user.admin)).toHaveLength(1);
  });

  it('make one direct conversation of two people', async () => {
    const workspaceId = freshWorkspace();
    const [ann, bob] = [freshUserId(), freshUserId()];
    const outcomes = await spread(20, (directory, n) =>
      directory.createConversation(newConversation(workspaceId, 'direct', n % 3 === 0 ? [ann, bob] : [bob, ann])),
    );
    expect(outcomes.filter(({ kind }) => kind === 'created')).toHaveLength(1);
    expect(new Set(outcomes.map(({ conversation }) => conversation.id)).size).toBe(1);
  });

  it('end at the furthest of fifty marks', async () => {
    const [ann, bob] = [freshUserId(), freshUserId()];
    const conversation = newConversation(freshWorkspace(), 'group', [ann, bob]);
    await both[0].createConversation(conversation);
    const marks = await spread(50, (directory, n) =>
      directory.mark(ann, conversation.id, { kind: n % 5 === 0 ? 'delivered' : 'read', seq: seq(n * 7), at: at(n) }),
    );
    expect(marks.filter((mark) => mark?.moved === true).length).toBeGreaterThan(0);
    expect(await both[1].membershipOf(ann, conversation.id)).toMatchObject({ readSeq: 49 * 7, deliveredSeq: 49 * 7 });
  });

  it('exchange a refresh token once', async () => {
    const user = { id: 'f', userId: freshUserId(), workspaceId: freshWorkspace() };
    await both[0].createFamily(user, 'token', at(0), at(60));
    const outcomes = await spread(10, (directory, n) => directory.rotateToken('token', `next-${n}`, at(1), at(61)));
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual([...Array(9).fill('reused'), 'rotated']);
    expect(await both[1].liveFamilies(['f'])).toEqual(new Set());
  });

  it('get the same secret', async () => {
    const made = await spread(10, (directory, n) => directory.secret('of-both', () => `made by ${n}`));
    expect(new Set(made).size).toBe(1);
  });

  it('tell that a text is too long, and store nothing of it', async () => {
    const workspaceId = freshWorkspace();
    const external = { issuer: 'https://issuer.example', subject: 'x'.repeat(2_000) };
    const user = newUser({ workspaceId, external });
    await expect(both[0].createUser(user, at(0))).rejects.toMatchObject({ code: 'invalid' });
    expect(await both[0].users(workspaceId, [user.id])).toEqual(new Map());
  });
});

describe('transactions on MySQL', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
    await migrateDirectory(database.config);
  });
  afterAll(() => database.drop());

  it('run again when they deadlock', async () => {
    const { store, close } = await openMysqlStore(database.config);
    const { promise: bothHaveOne, resolve: proceed } = Promise.withResolvers<void>();
    let holding = 0;
    let attempts = 0;
    await store.db
      .insertInto('secrets')
      .values([
        { name: 'a', value: '' },
        { name: 'b', value: '' },
      ])
      .execute();
    const crossing = (first: string, second: string) =>
      store.transaction(async (tx) => {
        attempts += 1;
        await tx.updateTable('secrets').set({ value: first }).where('name', '=', first).execute();
        holding += 1;
        if (holding === 2) proceed();
        await bothHaveOne;
        await tx.updateTable('secrets').set({ value: first }).where('name', '=', second).execute();
      });
    const outcomes = await Promise.allSettled([crossing('a', 'b'), crossing('b', 'a')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
    expect(attempts).toBe(3);
    const values = (await store.db.selectFrom('secrets').select('value').execute()).map((row) => row.value);
    expect(new Set(values).size).toBe(1);
    await close();
  });

  it('run again when someone holds a row for longer than they wait', async () => {
    const { store, close } = await openMysqlStore(database.config);
    const { store: other, close: closeOther } = await openMysqlStore(database.config);
    await store.db.insertInto('secrets').values({ name: 'held', value: '' }).execute();
    const { promise: holds, resolve: held } = Promise.withResolvers<void>();
    const { promise: secondAttempt, resolve: letGo } = Promise.withResolvers<void>();
    const holder = other.transaction(async (tx) => {
      await tx.updateTable('secrets').set({ value: 'first' }).where('name', '=', 'held').execute();
      held();
      await secondAttempt;
    });
    await holds;
    let attempts = 0;
    try {
      await store.transaction(async (tx) => {
        attempts += 1;
        if (attempts === 2) letGo();
        await tx.updateTable('secrets').set({ value: 'second' }).where('name', '=', 'held').execute();
      });
    } finally {
      letGo();
      await holder;
    }
    expect(attempts).toBe(2);
    const row = await store.db.selectFrom('secrets').select('value').where('name', '=', 'held').executeTakeFirst();
    expect(row?.value).toBe('second');
    await Promise.all([close(), closeOther()]);
  });

  it('leave nothing behind when their function throws', async () => {
    const { store, close } = await openMysqlStore({ ...database.config, connections: 1 });
    const thrown = store.transaction(async (tx) => {
      await tx.insertInto('secrets').values({ name: 'undone', value: '' }).execute();
      throw new Error('changed my mind');
    });
    await expect(thrown).rejects.toThrow('changed my mind');
    const rows = await store.db.selectFrom('secrets').selectAll().where('name', '=', 'undone').execute();
    expect(rows).toEqual([]);
    await close();
  });
});

const idOf = (n: number): UserId => `user-${n}` as UserId;

describe('many at once on MySQL', () => {
  it('adds, lists and removes 10,000 members', async () => {
    const database = await testDatabase();
    await migrateDirectory(database.config);
    const directory = await openDirectory(database.config);
    const conversation = newConversation(freshWorkspace(), 'channel', [freshUserId()]);
    const { id } = conversation;
    await directory.createConversation(conversation);
    const everyone = Array.from({ length: 10_000 }, (_, n) => idOf(n));
    const thousands = Array.from({ length: 10 }, (_, n) => everyone.slice(n * 1_000, (n + 1) * 1_000));
    for (const [n, some] of thousands.entries()) await apply(directory, id, n, [memberEntry(id, n + 1, 'added', some)]);
    expect((await directory.conversation(id))?.memberCount).toBe(10_001);
    expect(await directory.allMemberships(id)).toHaveLength(10_001);
    expect((await directory.memberships(id, everyone)).size).toBe(10_000);
    expect((await directory.memberships(id, everyone.slice(500, 1_500))).size).toBe(1_000);
    const facts = await apply(directory, id, 10, [memberEntry(id, 11, 'removed', everyone.slice(0, 1_000))]);
    expect(facts?.memberCount).toBe(9_001);
    await directory.close();
    await database.drop();
  });
});
