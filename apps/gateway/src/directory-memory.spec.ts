import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ConversationId,
  DEFAULT_WORKSPACE,
  type LogEntry,
  ParleyError,
  seq,
  type UserId,
} from '@parley/contracts';
import { type Directory, openDirectory } from '@parley/directory';
import { ManualClock } from '@parley/service-kit';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { withMemory } from './directory-memory.js';

const ANN = 'ann' as UserId;
const BOB = 'bob' as UserId;

let folder: string;
let store: Directory;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-memory-'));
  store = await openDirectory({ adapter: 'sqlite', directory: folder });
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

let away: boolean;
let asked: number;
let clock: ManualClock;
let directory: Directory;
let id: ConversationId;
let conversations = 0;
beforeEach(async () => {
  away = false;
  asked = 0;
  clock = new ManualClock();
  directory = withMemory(unreliable(store), clock);
  id = `c_${(conversations += 1)}` as ConversationId;
  await store.createConversation({
    workspaceId: DEFAULT_WORKSPACE,
    id,
    type: 'group',
    name: null,
    topic: null,
    visibility: 'private',
    history: 'joined',
    createdBy: ANN,
    createdAt: new Date(0).toISOString(),
    members: [
      { userId: ANN, role: 'owner' },
      { userId: BOB, role: 'member' },
    ],
  });
});
afterEach(() => {
  away = false;
});

/** Every method of the store refuses while it is away. */
function unreliable(target: Directory): Directory {
  return new Proxy(target, {
    get:
      (of, name) =>
      async (...args: unknown[]) => {
        asked += 1;
        if (away) throw new ParleyError('unavailable', 'the directory is away');
        return (Reflect.get(of, name, of) as (...given: unknown[]) => unknown).apply(of, args);
      },
  });
}

const removed = (userId: UserId, at: number): LogEntry =>
  ({
    kind: 'member',
    op: 'removed',
    userIds: [userId],
    conversationId: id,
    seq: seq(at),
    id: `${id}:${at}`,
    senderId: ANN,
    sentAt: new Date(at).toISOString(),
  }) as LogEntry;

describe('while the directory is away', () => {
  it('what was met goes on as it last was', async () => {
    await directory.conversation(id);
    const list = await directory.conversationsOf(DEFAULT_WORKSPACE, ANN);
    const members = await directory.memberships(id, [ANN, BOB]);
    const all = await directory.allMemberships(id);
    away = true;
    expect((await directory.conversation(id))?.memberCount).toBe(2);
    expect(await directory.conversationsOf(DEFAULT_WORKSPACE, ANN)).toEqual(list);
    expect(await directory.memberships(id, [BOB, ANN])).toEqual(members);
    expect(await directory.allMemberships(id)).toEqual(all);
    expect((await directory.membershipOf(ANN, id))?.role).toBe('owner');
  });

  it('what was not met, and every change, is unavailable', async () => {
    await directory.conversation(id);
    away = true;
    const unavailable = { code: 'unavailable' };
    await expect(directory.memberships(id, [ANN])).rejects.toMatchObject(unavailable);
    await expect(directory.conversationsOf(DEFAULT_WORKSPACE, BOB)).rejects.toMatchObject(unavailable);
    await expect(directory.users(DEFAULT_WORKSPACE, [ANN])).rejects.toMatchObject(unavailable);
    const mark = { kind: 'read', seq: seq(1), at: new Date(0).toISOString() } as const;
    await expect(directory.mark(ANN, id, mark)).rejects.toMatchObject(unavailable);
  });

  it('nobody who was removed is taken for a member: answers older than the facts do not stand', async () => {
    await directory.conversation(id);
    await directory.memberships(id, [BOB]);
    await directory.allMemberships(id);
    await directory.membershipOf(BOB, id);
    await store.applyEntries(id, [removed(BOB, 1)], { from: seq(0), upTo: seq(1) });
    await directory.conversation(id);
    away = true;
    expect((await directory.conversation(id))?.appliedSeq).toBe(1);
    await expect(directory.memberships(id, [BOB])).rejects.toMatchObject({ code: 'unavailable' });
    await expect(directory.allMemberships(id)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(directory.membershipOf(BOB, id)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('is asked again once a second, not by everyone, and is believed when it is back', async () => {
    await directory.conversation(id);
    away = true;
    await directory.conversation(id);
    const before = asked;
    for (let calls = 0; calls < 100; calls += 1) await directory.conversation(id);
    expect(asked).toBe(before);
    clock.advance(1_000);
    await directory.conversation(id);
    expect(asked).toBe(before + 1);
    await new Promise(setImmediate); // it has been refused
    away = false;
    clock.advance(1_000);
    await store.applyEntries(id, [removed(BOB, 1)], { from: seq(0), upTo: seq(1) });
    // One call tries behind the back of whoever asks, so that nobody waits for a store that says nothing.
    expect((await directory.conversation(id))?.memberCount).toBe(2);
    while ((await directory.conversation(id))?.memberCount !== 1) await new Promise(setImmediate);
  });

  it('refuses at once what it does not remember, and believes it again when it is back', async () => {
    await directory.conversation(id);
    away = true;
    await directory.conversation(id);
    asked = 0;
    await expect(directory.setBanned(BOB, null)).rejects.toMatchObject({ code: 'unavailable' });
    expect(asked).toBe(0);
    away = false;
    clock.advance(1_000);
    await expect(directory.setBanned(BOB, null)).resolves.toBeNull(); // nobody has registered here
  });
});
