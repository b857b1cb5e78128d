import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import {
  type ConversationId,
  entryId,
  type LogEntry,
  type Seq,
  seq,
  type StoredEntry,
  type UserId,
} from '@parley/contracts';

import { type CachedHead, type HeadCache, type HeadCacheBounds, HEADS_MAX, type HeadUpdate } from './head-cache.js';

export interface ConformanceSubject {
  readonly cache: HeadCache;
  /** Resolves when this much time has passed for the cache: by its clock where it has one, else by waiting. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

const BOUNDS: HeadCacheBounds = { entriesMax: 5, bytesMax: 4_000, ttlMs: 600 };
export const CONVERSATION = 'c_1' as ConversationId;

/** What an entry is, without its place. */
export type Draft =
  | { readonly kind: 'message'; readonly text: string }
  | { readonly kind: 'edit'; readonly target: number; readonly text: string }
  | { readonly kind: 'delete'; readonly target: number };

export function stored(at: number, draft: Draft, conversationId = CONVERSATION): StoredEntry {
  const place = {
    conversationId,
    seq: seq(at),
    id: entryId(conversationId, at),
    senderId: 'u_ann' as UserId,
    sentAt: new Date(1_700_000_000_000 + at).toISOString(),
  };
  const entry: LogEntry =
    draft.kind === 'message'
      ? { ...place, kind: 'message', content: { type: 'text', text: draft.text }, mentions: ['u_bob' as UserId] }
      : draft.kind === 'edit'
        ? { ...place, kind: 'edit', targetSeq: seq(draft.target), content: { type: 'text', text: draft.text } }
        : { ...place, kind: 'delete', targetSeq: seq(draft.target) };
  return { entry, json: JSON.stringify(entry), ordinal: at, memberSeq: seq(1) };
}

export function headAt(at: number, sealed = 0): CachedHead {
  return {
    seq: seq(at),
    ordinal: at,
    memberSeq: seq(1),
    lastMessageSeq: seq(at),
    lastAtMs: 1_700_000_000_000 + at,
    sealedSeq: seq(sealed),
  };
}

/** An append of these, the first at `from`. */
export function update(from: number, drafts: readonly Draft[], conversationId = CONVERSATION): HeadUpdate {
  const entries = drafts.map((draft, index) => stored(from + index, draft, conversationId));
  return { conversationId, head: headAt(from + entries.length - 1), entries };
}

const say = (...texts: string[]): Draft[] => texts.map((text) => ({ kind: 'message', text }));

/** What every adapter of the port must do. `open` gives an empty cache with these bounds. */
export function headCacheConformance(
  name: string,
  open: (bounds: HeadCacheBounds) => Promise<ConformanceSubject>,
): void {
  describe(`${name} as a head cache`, () => {
    let subject: ConformanceSubject;
    let cache: HeadCache;
    beforeEach(async () => {
      subject = await open(BOUNDS);
      cache = subject.cache;
    });
    afterEach(() => subject.close());

    const recent = async (after = 0, limit = 100) => {
      const found = await cache.recent(CONVERSATION, { after: seq(after), limit });
      return found === null ? null : { head: found.head.seq, first: found.firstSeq, entries: found.entries };
    };
    const seqs = async (after = 0, limit = 100) => (await recent(after, limit))?.entries.map(({ entry }) => entry.seq);
    const text = async (at: number): Promise<unknown> => {
      const entry = (await recent())?.entries.find((each) => each.entry.seq === at)?.entry;
      return entry !== undefined && 'content' in entry ? entry.content?.['text'] : entry;
    };

    it('knows nothing of what nobody put', async () => {
      expect(await cache.recent(CONVERSATION, { after: seq(0), limit: 10 })).toBeNull();
      expect(await cache.heads([CONVERSATION])).toEqual(new Map());
    });

    it('gives back what was put, byte for byte', async () => {
      const put = update(1, say('é😀\u2028"', '{}'));
      await cache.put([put]);
      expect(await recent()).toEqual({ head: 2, first: 1, entries: put.entries });
      expect(await cache.heads([CONVERSATION, 'c_other' as ConversationId])).toEqual(
        new Map([[CONVERSATION, put.head]]),
      );
    });

    it('reads after a position, up to a limit', async () => {
      await cache.put([update(1, say('a', 'b', 'c', 'd'))]);
      expect(await seqs(1, 2)).toEqual([2, 3]);
      expect(await seqs(4)).toEqual([]);
      expect(await seqs(9)).toEqual([]);
    });

    it('joins updates, and takes the same one again', async () => {
      const [one, two] = [update(1, say('a', 'b')), update(3, say('c'))];
      await cache.put([one]);
      await cache.put([two, one, two]);
      await cache.put([update(2, say('other', 'other', 'd'))]);
      expect((await recent())?.entries.map(({ json }) => json)).toEqual(
        [...one.entries, ...two.entries, stored(4, { kind: 'message', text: 'd' })].map(({ json }) => json),
      );
    });

    it('never goes back', async () => {
      await cache.put([{ ...update(4, say('d')), head: headAt(4, 3) }]);
      await cache.put([{ ...update(2, say('b', 'c')), head: headAt(3, 1) }]);
      expect((await cache.heads([CONVERSATION])).get(CONVERSATION)).toMatchObject({ seq: 4, sealedSeq: 3 });
      expect(await seqs()).toEqual([4]);
      await cache.put([{ conversationId: CONVERSATION, head: headAt(4, 4), entries: [] }]);
      expect((await cache.heads([CONVERSATION])).get(CONVERSATION)).toMatchObject({ seq: 4, sealedSeq: 4 });
      expect(await seqs()).toEqual([4]);
    });

    it('has no hole: what does not join replaces what was there', async () => {
      await cache.put([update(1, say('a', 'b'))]);
      await cache.put([update(4, say('d', 'e'))]);
      expect(await recent()).toMatchObject({ head: 5, first: 4 });
      expect(await seqs()).toEqual([4, 5]);
      await cache.put([{ conversationId: CONVERSATION, head: headAt(9), entries: [] }]);
      expect(await recent()).toEqual({ head: 9, first: 10, entries: [] });
      await cache.put([update(10, say('j'))]);
      expect(await recent()).toMatchObject({ head: 10, first: 10 });
    });

    it('keeps the latest entries within both bounds', async () => {
      await cache.put([update(1, say('a', 'b', 'c', 'd', 'e', 'f', 'g'))]);
      expect(await seqs()).toEqual([3, 4, 5, 6, 7]);
      await cache.put([update(8, say('x'.repeat(3_500)))]);
      expect((await seqs())?.at(-1)).toBe(8);
      const bytes = (await recent())?.entries.reduce((sum, { json }) => sum + Buffer.byteLength(json), 0);
      expect(bytes).toBeLessThanOrEqual(BOUNDS.bytesMax);
      await cache.put([update(9, say('x'.repeat(5_000)))]);
      expect(await recent()).toEqual({ head: 9, first: 10, entries: [] });
    });

    it('has no content of what was deleted, nor of its edits', async () => {
      await cache.put([
        update(1, [...say('secret'), { kind: 'edit', target: 1, text: 'secret too' }, ...say('stays')]),
      ]);
      await cache.put([update(4, [{ kind: 'delete', target: 1 }])]);
      const found = await recent();
      expect(JSON.stringify(found)).not.toContain('secret');
      expect(JSON.stringify(found?.entries[0])).not.toContain('u_bob');
      const deletedAt = stored(4, { kind: 'delete', target: 1 }).entry.sentAt;
      for (const { entry, json } of found?.entries.slice(0, 2) ?? []) {
        expect(entry).toMatchObject({ content: null, deletedAt });
        expect(JSON.parse(json)).toEqual(entry);
      }
      expect(await text(3)).toBe('stays');
    });

    it('takes no content of an edit that came after the deletion', async () => {
      await cache.put([update(1, [...say('a'), { kind: 'delete', target: 1 }])]);
      await cache.put([update(3, [{ kind: 'edit', target: 1, text: 'secret' }])]);
      expect(JSON.stringify(await recent())).not.toContain('secret');
      expect(await seqs()).toEqual([1, 2, 3]);
    });

    it('redacts within one update', async () => {
      await cache.put([update(1, [...say('secret', 'b'), { kind: 'delete', target: 1 }])]);
      expect(JSON.stringify(await recent())).not.toContain('secret');
      expect(await text(2)).toBe('b');
    });

    it('drops an edit of which it does not know whether its target was deleted', async () => {
      await cache.put([update(5, [...say('e'), { kind: 'edit', target: 2, text: 'secret?' }, ...say('g')])]);
      expect(await seqs()).toEqual([7]);
    });

    it('forgets a conversation that is not updated any more', async () => {
      await cache.put([update(1, say('a'))]);
      await subject.advance(BOUNDS.ttlMs * 0.6);
      await cache.put([update(2, say('b'))]);
      await subject.advance(BOUNDS.ttlMs * 0.6);
      expect(await seqs()).toEqual([1, 2]);
      await subject.advance(BOUNDS.ttlMs * 0.6);
      expect(await recent()).toBeNull();
    });

    it('reads the heads of many conversations at once, and refuses more', async () => {
      const ids = Array.from({ length: 1_000 }, (_, index) => `c_${index}` as ConversationId);
      await cache.put(ids.map((id) => update(1, say('a'), id)));
      expect((await cache.heads(ids)).size).toBe(1_000);
      const tooMany = Array.from({ length: HEADS_MAX + 1 }, (): ConversationId => CONVERSATION);
      await expect(cache.heads(tooMany)).rejects.toThrow(RangeError);
    });

    it('refuses entries that do not lead up to the head', async () => {
      const put = update(1, say('a', 'b'));
      await expect(cache.put([{ ...put, head: headAt(3) }])).rejects.toThrow(RangeError);
      await expect(cache.put([{ ...put, entries: [...put.entries].reverse() }])).rejects.toThrow(RangeError);
    });
  });
}

/** For a comparison with another adapter: everything that a reader can see. */
export async function seenOf(cache: HeadCache, id: ConversationId, after: Seq): Promise<unknown> {
  const heads = await cache.heads([id]);
  return { head: heads.get(id) ?? null, recent: await cache.recent(id, { after, limit: 3 }) };
}
