import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Message, seq, type UserId } from '@parley/contracts';
import type { RoomFrame } from '@parley/frame-bus';

import {
  actor,
  add,
  ANN,
  BOB,
  CAT,
  openStores,
  ReadingFixture,
  remove,
  say,
  seqs,
  type Stores,
} from './reading-fixture.js';

let stores: Stores;
beforeAll(async () => {
  stores = await openStores();
});
afterAll(() => stores.close());

const open = (given?: Parameters<typeof ReadingFixture.open>[1]) => ReadingFixture.open(stores, given);
const react = (targetSeq: number, by: UserId) => ({ kind: 'reaction', targetSeq, emoji: '👍', op: 'add', by }) as const;

describe('history', () => {
  const pageOf = async (
    given: ReadingFixture,
    by: UserId,
    window: Parameters<typeof given.reading.page>[2],
    limit = 3,
  ) => {
    const { items, hasMore } = await given.reading.page(await given.access(by), by, window, limit);
    return [seqs(items), hasMore];
  };

  it('is the latest, before, after and around a position, in order of seq', async () => {
    const given = await open();
    // Messages at the odd positions.
    for (let at = 1; at <= 19; at += 2) await given.write(say, react(at, BOB));
    expect(await pageOf(given, ANN, { kind: 'latest' })).toEqual([[15, 17, 19], true]);
    expect(await pageOf(given, ANN, { kind: 'before', seq: 15 })).toEqual([[9, 11, 13], true]);
    expect(await pageOf(given, ANN, { kind: 'before', seq: 4 })).toEqual([[1, 3], false]);
    expect(await pageOf(given, ANN, { kind: 'after', seq: 13 })).toEqual([[15, 17, 19], false]);
    expect(await pageOf(given, ANN, { kind: 'after', seq: 0 })).toEqual([[1, 3, 5], true]);
    expect(await pageOf(given, ANN, { kind: 'around', seq: 9 }, 4)).toEqual([[5, 7, 9, 11], true]);
    expect(await pageOf(given, ANN, { kind: 'around', seq: 1 }, 3)).toEqual([[1, 3, 5], true]);
    expect(await pageOf(given, ANN, { kind: 'latest' }, 10)).toEqual([seqs(await messagesOf(given)), false]);
  });
  const messagesOf = async (given: ReadingFixture): Promise<Message[]> =>
    (await given.reading.page(await given.access(ANN), ANN, { kind: 'after', seq: 0 }, 200)).items;

  it('ends where membership does, and leaps over the time away', async () => {
    const given = await open();
    await given.write(say, say, remove(BOB), say, say, add(BOB), say, say);
    expect(await pageOf(given, BOB, { kind: 'latest' }, 10)).toEqual([[1, 2, 7, 8], false]);
    expect(await pageOf(given, BOB, { kind: 'before', seq: 8 }, 2)).toEqual([[2, 7], true]);
    expect(await pageOf(given, BOB, { kind: 'after', seq: 1 }, 2)).toEqual([[2, 7], true]);
    const may = await given.access(BOB);
    for (const hidden of [4, 5]) {
      await expect(given.reading.message(may, BOB, seq(hidden))).rejects.toMatchObject({ code: 'not_found' });
    }
    expect((await given.reading.message(may, BOB, seq(7))).seq).toBe(7);
  });

  it('reads as it now is', async () => {
    const given = await open();
    await given.write(say, say, { kind: 'edit', targetSeq: 1, text: 'better' }, react(1, BOB), {
      kind: 'delete',
      targetSeq: 2,
    });
    await given.write({ kind: 'message', parentSeq: 1, by: BOB });
    const [edited, deleted] = await messagesOf(given);
    expect(edited).toMatchObject({
      content: { text: 'better' },
      editedAt: expect.any(String),
      reactions: [{ emoji: '👍', count: 1, userIds: [BOB], me: false }],
      replyCount: 1,
      participants: [BOB],
    });
    expect(deleted).toMatchObject({ seq: 2, content: null, deletedAt: expect.any(String) });
  });

  it('is not a message where an entry of another kind stands', async () => {
    const given = await open();
    await given.write(say, react(1, BOB));
    const may = await given.access(ANN);
    for (const at of [2, 3])
      await expect(given.reading.message(may, ANN, seq(at))).rejects.toMatchObject({ code: 'not_found' });
  });

  it('lists pins, last pinned first, without those taken down, deleted or hidden', async () => {
    const given = await open();
    const pin = (targetSeq: number, op: 'add' | 'remove' = 'add') => ({ kind: 'pin', targetSeq, op }) as const;
    await given.write(
      say,
      say,
      say,
      say,
      pin(1),
      pin(2),
      pin(3),
      pin(4),
      pin(2, 'remove'),
      { kind: 'delete', targetSeq: 3 },
      add(CAT),
    );
    await given.write(say, pin(12));
    expect(seqs(await given.reading.pins(await given.access(ANN), ANN))).toEqual([12, 4, 1]);
    expect(seqs(await given.reading.pins(await given.access(CAT), CAT))).toEqual([12]);
  });

  it('lists the replies of a thread to those who may see where it hangs', async () => {
    const given = await open();
    await given.write(say, ...Array.from({ length: 3 }, () => ({ kind: 'message', parentSeq: 1 }) as const), add(CAT));
    const replies = async (by: UserId, after: number) => {
      const { items, hasMore } = await given.reading.replies(await given.access(by), by, seq(1), seq(after), 2);
      return [seqs(items), hasMore];
    };
    expect(await replies(ANN, 0)).toEqual([[2, 3], true]);
    expect(await replies(ANN, 3)).toEqual([[4], false]);
    await expect(replies(CAT, 0)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is nothing to strangers', async () => {
    const given = await open();
    await expect(given.access(CAT)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('positions', () => {
  const countOf = async (given: ReadingFixture, by: UserId) => {
    const { readSeq, unread, mentions } = await given.views.one(actor(by), given.id);
    return { readSeq, unread, mentions };
  };

  it('only move forward, and not beyond the head', async () => {
    const given = await open();
    await given.write(say, say, say, say);
    const mark = (at: number) => given.positions.mark(actor(BOB), given.id, 'read', seq(at));
    expect(await mark(2)).toEqual({ readSeq: 2, unread: 2 });
    expect(await mark(1)).toEqual({ readSeq: 2, unread: 2 });
    expect(await mark(99)).toEqual({ readSeq: 4, unread: 0 });
    await given.write(say);
    expect(await countOf(given, BOB)).toEqual({ readSeq: 4, unread: 1, mentions: 0 });
  });

  it('count neither one’s own messages nor deleted ones, nor what is no message', async () => {
    const given = await open();
    const fromBob = { ...say, by: BOB };
    await given.write(
      say,
      fromBob,
      { ...say, mentions: ['bob'] },
      say,
      { kind: 'delete', targetSeq: 4 },
      react(1, ANN),
      add(CAT),
    );
    expect(await countOf(given, BOB)).toEqual({ readSeq: 0, unread: 2, mentions: 1 });
    expect(await countOf(given, ANN)).toEqual({ readSeq: 0, unread: 1, mentions: 0 });
    expect(await countOf(given, CAT)).toEqual({ readSeq: 7, unread: 0, mentions: 0 });
  });

  it('go back when someone marks unread, not before they could see', async () => {
    const given = await open();
    await given.write(say, say, add(CAT), say, say);
    await given.positions.mark(actor(CAT), given.id, 'read', seq(5));
    expect(await given.positions.mark(actor(CAT), given.id, 'unread', seq(5))).toEqual({ readSeq: 4, unread: 1 });
    expect(await given.positions.mark(actor(CAT), given.id, 'unread', seq(1))).toEqual({ readSeq: 3, unread: 2 });
    expect(await given.positions.mark(actor(BOB), given.id, 'unread', seq(1))).toEqual({ readSeq: 0, unread: 4 });
    expect(await given.positions.mark(actor(BOB), given.id, 'unread', seq(99))).toEqual({ readSeq: 5, unread: 0 });
  });

  it('are nobody’s who is no member', async () => {
    const given = await open();
    await given.write(say, remove(BOB));
    for (const by of [BOB, CAT]) {
      await expect(given.positions.mark(actor(by), given.id, 'read', seq(1))).rejects.toMatchObject({
        code: 'not_found',
      });
    }
  });

  it('are told to members in groups, to oneself alone in channels, and not when they did not move', async () => {
    for (const type of ['group', 'channel'] as const) {
      const given = await open({ type, members: [ANN, BOB, CAT] });
      const told: string[] = [];
      const listener = await given.frames.attach(
        'chat-1' as never,
        (room: string, { frames, exceptSessionId }: RoomFrame) => {
          told.push(
            ...frames.map(
              ({ event, data }) =>
                `${room} ${event} ${(JSON.parse(data) as { seq: number }).seq} ${exceptSessionId ?? ''}`,
            ),
          );
        },
      );
      for (const userId of [ANN, BOB, CAT]) await listener.join(`u:${userId}`);
      await given.write(say, say, remove(CAT));
      await given.positions.mark(actor(BOB), given.id, 'read', seq(2), 's1' as never);
      await given.positions.mark(actor(BOB), given.id, 'read', seq(1));
      await given.positions.mark(actor(BOB), given.id, 'unread', seq(2));
      await given.positions.mark(actor(BOB), given.id, 'delivered', seq(3));
      const everyone = type === 'group' ? ['u:ann', 'u:bob'] : ['u:bob'];
      expect([type, told]).toEqual([
        type,
        [
          ...everyone.map((room) => `${room} read.updated 2 s1`),
          'u:bob read.updated 1 ',
          ...everyone.map((room) => `${room} delivered.updated 3 `),
        ],
      ]);
    }
  });
});

describe('the list of conversations', () => {
  it('is last changed first, page by page without repeating or skipping what stays put', async () => {
    const zoe = 'zoe' as UserId;
    const made: ReadingFixture[] = [];
    for (let index = 0; index < 7; index += 1)
      made.push(await open({ members: [ANN, zoe], createdAtMs: index * 1_000 }));
    // Those with entries are later than those without; two of them at the same time.
    await made[1]?.write(say);
    await made[3]?.write(say);
    await made[5]?.write(say, say);
    const pages: string[][] = [];
    let cursor: string | undefined;
    do {
      const page = await made[0]?.views.list(actor(zoe), 2, cursor);
      pages.push(page?.items.map(({ id }) => id) ?? []);
      cursor = page?.nextCursor ?? undefined;
      // One that was shown already moves to the front meanwhile.
      if (pages.length === 1) await made[5]?.write(say, say, say);
    } while (cursor !== undefined);
    const idOf = (index: number) => made[index]?.id;
    expect(pages.flat()).toEqual([5, 3, 1, 6, 4, 2, 0].map(idOf));
    expect(pages.map(({ length }) => length)).toEqual([2, 2, 2, 1]);
  });

  it('shows the last message as it now reads, to those who may see it', async () => {
    const given = await open();
    await given.write(say, { kind: 'edit', targetSeq: 1, text: 'better' }, add(CAT));
    const lastOf = async (by: UserId) => (await given.views.one(actor(by), given.id)).lastMessage;
    expect(await lastOf(ANN)).toMatchObject({ seq: 1, content: { text: 'better' } });
    expect(await lastOf(CAT)).toBeNull();
  });

  it('shows a public channel to those who have not joined, without anything that was said', async () => {
    const given = await open({ type: 'channel', history: 'all', visibility: 'public' });
    await given.write(say);
    const view = await given.views.one(actor(CAT), given.id);
    expect(view).toMatchObject({ head: 1, unread: 0, lastMessage: null });
    expect(view).not.toHaveProperty('role');
    await expect(given.access(CAT)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('does not show what was ended', async () => {
    const given = await open();
    await given.write({ kind: 'settings', changes: { deleted: true } });
    await expect(given.views.one(actor(ANN), given.id)).rejects.toMatchObject({ code: 'not_found' });
    const { removed } = await given.sync.all(actor(ANN), { cursors: { [given.id]: seq(0) } as never });
    expect(removed).toEqual([given.id]);
  });
});
