import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ConversationId, LogEntry, type Seq, seq } from '@parley/contracts';

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

describe('the projection', () => {
  it('is brought up to the log by whoever asks for what it lacks', async () => {
    const given = await open();
    await given.write(say, add(CAT), say, { kind: 'settings', changes: { name: 'plans' } }, remove(BOB), say);
    expect(await stores.directory.conversation(given.id)).toMatchObject({ appliedSeq: 0, memberCount: 2 });
    const { facts, head } = await given.projection.current(given.id);
    expect([head.seq, facts]).toMatchObject([6, { appliedSeq: 5, memberCount: 2, name: 'plans' }]);
  });

  it('goes as far as it was asked, page by page', async () => {
    const given = await open();
    for (let page = 0; page < 5; page += 1) await given.write(...Array.from({ length: 500 }, () => say));
    await given.write(add(CAT), say, remove(CAT));
    expect(await given.projection.facts(given.id, seq(2_501))).toMatchObject({ appliedSeq: 2_501, memberCount: 3 });
    expect(await given.projection.facts(given.id, seq(100))).toMatchObject({ appliedSeq: 2_501 });
  });

  it('is the same however often and by however many it is brought up', async () => {
    const given = await open();
    await given.write(add(CAT), remove(CAT), add(CAT));
    await Promise.all(Array.from({ length: 8 }, (_, index) => given.projection.facts(given.id, seq((index % 3) + 1))));
    expect(await given.projection.facts(given.id, seq(3))).toMatchObject({ appliedSeq: 3, memberCount: 3 });
    expect(await stores.directory.memberships(given.id, [CAT])).toEqual(
      new Map([
        [
          CAT,
          [
            { role: 'member', joinedSeq: 1, leftSeq: 2 },
            { role: 'member', joinedSeq: 3, leftSeq: null },
          ],
        ],
      ]),
    );
  });

  it('follows the bus for changes whose request died', async () => {
    const given = await open();
    const entries = await given.write(say, add(CAT), say);
    const published = entries.map((entry) => ({
      entry,
      json: JSON.stringify(entry),
      ordinal: 0,
      memberSeq: seq(0),
      prevMemberSeq: seq(0),
      receivedAtMs: 0,
    }));
    const { workspaceId } = actor(ANN);
    await given.projection.consume([
      { workspaceId, conversationId: given.id, type: 'group', history: 'joined', entries: published },
    ]);
    expect(await stores.directory.conversation(given.id)).toMatchObject({ appliedSeq: 2, memberCount: 3 });
  });

  it('lets nobody in by a row that lags: a removed member finds nothing at once', async () => {
    const given = await open();
    await given.write(say, remove(BOB));
    await expect(given.access(BOB)).rejects.toMatchObject({ code: 'not_found' });
    await expect(given.views.one(actor(BOB), given.id)).rejects.toMatchObject({ code: 'not_found' });
    expect((await given.views.list(actor(BOB), 200, undefined)).items.map(({ id }) => id)).not.toContain(given.id);
  });
});

describe('a page of the log', () => {
  it('holds every entry after the position, up to the limit, and says where to go on', async () => {
    const given = await open();
    await given.write(say, say, { kind: 'edit', targetSeq: 1, text: 'x' }, add(CAT), say);
    expect(await given.page(ANN, 0, 2)).toMatchObject({
      entries: [{ seq: 1 }, { seq: 2 }],
      cursor: 2,
      hasMore: true,
      head: 5,
    });
    const rest = await given.page(ANN, 2, 3);
    expect([seqs(rest.entries), rest.cursor, rest.hasMore]).toEqual([[3, 4, 5], 5, false]);
    for (const entry of rest.entries) expect(LogEntry.safeParse(entry).success).toBe(true);
    expect(await given.page(ANN, 5)).toEqual({ entries: [], cursor: 5, hasMore: false, head: 5 });
    expect(await given.page(ANN, 99)).toEqual({ entries: [], cursor: 5, hasMore: false, head: 5 });
  });

  it('begins at the entry that added someone, where history does', async () => {
    const given = await open();
    await given.write(say, say, add(CAT), say, { kind: 'edit', targetSeq: 1, text: 'x' });
    expect(seqs((await given.page(CAT, 0)).entries)).toEqual([3, 4, 5]);
    expect(seqs((await given.page(BOB, 0)).entries)).toEqual([1, 2, 3, 4, 5]);
  });

  it('passes over what was said while someone was away for good, and the cursor with it', async () => {
    const given = await open();
    await given.write(say, remove(BOB), say, say, say, add(BOB), say);
    expect(await given.page(BOB, 0, 2)).toMatchObject({ entries: [{ seq: 1 }, { seq: 2 }], cursor: 2, hasMore: true });
    expect(await given.page(BOB, 2, 1)).toMatchObject({ entries: [{ seq: 6 }], cursor: 6, hasMore: true });
    expect(await given.page(BOB, 4)).toMatchObject({ entries: [{ seq: 6 }, { seq: 7 }], cursor: 7, hasMore: false });
  });

  it('has everything from the first entry where the history is for all', async () => {
    const given = await open({ type: 'channel', history: 'all' });
    await given.write(say, say, add(CAT), say);
    expect(seqs((await given.page(CAT, 0)).entries)).toEqual([1, 2, 3, 4]);
  });

  it('page by page is the whole log, for any size of page', async () => {
    const given = await open();
    for (let round = 0; round < 3; round += 1) await given.write(...Array.from({ length: 500 }, () => say));
    for (const limit of [7, 499, 1_000]) {
      const found: number[] = [];
      let cursor: Seq = seq(0);
      for (let more = true; more;) {
        const page = await given.page(ANN, cursor, limit);
        found.push(...seqs(page.entries));
        more = page.hasMore;
        cursor = page.cursor;
      }
      expect(found).toEqual(Array.from({ length: 1_500 }, (_, index) => index + 1));
    }
  });
});

describe('a sync over all conversations', () => {
  const DAN = 'dan' as typeof ANN;

  it('gives what changed, what is new and what is gone, and is silent about the rest', async () => {
    const [same, changed, fresh, left] = [
      await open({ members: [DAN] }),
      await open({ members: [DAN] }),
      await open({ members: [DAN] }),
      await open({ members: [DAN, ANN] }),
    ];
    await same.write(say);
    await changed.write(say, say);
    await fresh.write(say);
    await left.write(say, remove(DAN));
    const strange = 'c_strange' as ConversationId;
    const cursors = { [same.id]: 1, [changed.id]: 1, [left.id]: 1, [strange]: 0 } as Record<ConversationId, Seq>;
    const result = await same.sync.all(actor(DAN), { cursors });
    expect(result.changed).toMatchObject([
      { conversationId: changed.id, entries: [{ seq: 2 }], cursor: 2, hasMore: false, head: 2 },
    ]);
    expect(result.added.map(({ id }) => id)).toEqual([fresh.id]);
    expect(result.removed).toEqual([left.id]);
  });

  it('gives those who came back only what they may see', async () => {
    const eve = 'eve' as typeof ANN;
    const given = await open({ members: [ANN, eve] });
    await given.write(say, remove(eve), say, add(eve), say);
    const { changed } = await given.sync.all(actor(eve), { cursors: { [given.id]: seq(0) } as never });
    expect(changed.flatMap(({ entries }) => seqs(entries))).toEqual([1, 2, 4, 5]);
  });
});
