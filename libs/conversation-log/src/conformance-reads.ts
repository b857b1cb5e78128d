import { describe, expect, it } from '@jest/globals';

import { seq } from '@parley/contracts';

import { added, ANN, BOB, CAT, edit, message, pin, reaction, remove, sentAtMs } from './conformance-entries.js';
import type { Given } from './conformance-given.js';
import { APPEND_MAX_ENTRIES, clientKey, READ_MAX_ENTRIES } from './conversation-log.js';

/** Ranges, changes, threads, pins and client ids. */
export function describeReads(given: Given): void {
  describe('reading', () => {
    it('reads ranges with their bounds', async () => {
      const scribe = given.newScribe();
      await scribe.write(...Array.from({ length: 10 }, (_, index) => message(ANN, `${index}`)));
      const seqs = async (range: { after: number; upTo?: number; limit: number }): Promise<number[]> => {
        const { upTo } = range;
        const bounds = {
          after: seq(range.after),
          limit: range.limit,
          ...(upTo === undefined ? {} : { upTo: seq(upTo) }),
        };
        return (await given.log.read(scribe.conversationId, bounds)).map(({ entry }) => entry.seq);
      };
      expect(await seqs({ after: 0, limit: 3 })).toEqual([1, 2, 3]);
      expect(await seqs({ after: 8, limit: 3 })).toEqual([9, 10]);
      expect(await seqs({ after: 2, upTo: 4, limit: 10 })).toEqual([3, 4]);
      expect(await seqs({ after: 4, upTo: 4, limit: 10 })).toEqual([]);
      expect(await seqs({ after: 10, limit: 10 })).toEqual([]);
      expect(await seqs({ after: 0, limit: 0 })).toEqual([]);
    });

    it('refuses more than the most entries of an answer', async () => {
      const { conversationId } = given.newScribe();
      const limit = READ_MAX_ENTRIES + 1;
      await expect(given.log.read(conversationId, { after: seq(0), limit })).rejects.toThrow(RangeError);
      await expect(given.log.readReplies(conversationId, seq(1), { after: seq(0), limit })).rejects.toThrow(RangeError);
      await expect(given.log.readMessages(conversationId, { after: seq(0), take: 'last', limit })).rejects.toThrow(
        RangeError,
      );
    });

    it('reads the first or the last messages of a range, and only messages', async () => {
      const scribe = given.newScribe();
      await scribe.write(message(ANN, '1'), reaction(BOB, 1, '👍'), message(ANN, '3'), added(ANN, [CAT]));
      await scribe.write(message(BOB, '5'), edit(ANN, 1, '1!'), message(CAT, '7'), pin(ANN, 7));
      const seqs = async (take: 'first' | 'last', limit: number, before?: number): Promise<number[]> => {
        const range = { after: seq(1), take, limit, ...(before === undefined ? {} : { before: seq(before) }) };
        return (await given.log.readMessages(scribe.conversationId, range)).map(({ entry }) => entry.seq);
      };
      expect(await seqs('first', 2)).toEqual([3, 5]);
      expect(await seqs('last', 2)).toEqual([5, 7]);
      expect(await seqs('last', 2, 7)).toEqual([3, 5]);
      expect(await seqs('first', 9)).toEqual([3, 5, 7]);
      expect(await seqs('last', 9, 3)).toEqual([]);
    });

    it('reads all that changes a range of messages', async () => {
      const scribe = given.newScribe();
      await scribe.write(message(ANN, '1'), message(ANN, '2'), message(ANN, '3'));
      const changes = await scribe.write(
        reaction(BOB, 2, '👍'),
        edit(ANN, 3, '3!'),
        pin(CAT, 2),
        reaction(BOB, 2, '👍', 'remove'),
      );
      await scribe.write(reaction(BOB, 1, '👍'), message(ANN, 'reply', { parentSeq: seq(2) }));
      expect(await given.log.readChanges(scribe.conversationId, { from: seq(2), to: seq(3) })).toEqual(changes);
    });

    it('reads replies by page, and sums them up', async () => {
      const scribe = given.newScribe();
      await scribe.write(message(ANN, 'question'), message(BOB, 'another'));
      const replies = await scribe.write(
        message(BOB, 'r1', { parentSeq: seq(1) }),
        message(CAT, 'r2', { parentSeq: seq(1) }),
        message(BOB, 'r3', { parentSeq: seq(1) }),
      );
      await scribe.write(message(CAT, 'r4', { parentSeq: seq(1) }));
      const page = { after: seq(0), limit: 3 };
      expect(await given.log.readReplies(scribe.conversationId, seq(1), page)).toEqual(replies);
      const next = await given.log.readReplies(scribe.conversationId, seq(1), { after: seq(5), limit: 3 });
      expect(next.map(({ entry }) => entry.seq)).toEqual([6]);
      await scribe.write(remove(BOB, 3), remove(CAT, 6));
      expect(await given.log.replySummaries(scribe.conversationId, [seq(1), seq(2), seq(99)])).toEqual(
        new Map([[1, { count: 2, lastReplyAt: new Date(sentAtMs(5)).toISOString(), participants: [CAT, BOB] }]]),
      );
    });

    it('reads the pins, the latest if there are more than an answer holds', async () => {
      const scribe = given.newScribe();
      await scribe.write(message(ANN, '1'));
      const pins = await scribe.write(pin(ANN, 1), pin(BOB, 1, 'remove'));
      expect(await given.log.readPins(scribe.conversationId)).toEqual(pins);
      for (let block = 0; block < READ_MAX_ENTRIES; block += APPEND_MAX_ENTRIES) {
        await scribe.write(...Array.from({ length: APPEND_MAX_ENTRIES }, () => pin(ANN, 1)));
      }
      const latest = await given.log.readPins(scribe.conversationId);
      expect(latest).toHaveLength(READ_MAX_ENTRIES);
      expect([latest[0]?.entry.seq, latest.at(-1)?.entry.seq]).toEqual([4, 3 + READ_MAX_ENTRIES]);
    });
  });

  describe('client ids', () => {
    it('finds what a sender sent under an id in this conversation, the latest of several', async () => {
      const scribe = given.newScribe();
      const other = given.newScribe();
      const [first] = await scribe.write(message(ANN, '1', { clientId: 'k' }), message(BOB, '2', { clientId: 'b' }));
      await other.write(message(ANN, 'elsewhere', { clientId: 'elsewhere' }));
      const keys = ['k', 'b', 'elsewhere'].map((clientId) => ({ senderId: ANN, clientId }));
      const find = (sinceMs: number) => given.log.findClientIds(scribe.conversationId, keys, sinceMs);
      expect(await find(0)).toEqual(new Map([[clientKey({ senderId: ANN, clientId: 'k' }), first]]));
      const [again] = await scribe.write(message(ANN, 'again', { clientId: 'k' }));
      expect([...(await find(0)).values()]).toEqual([again]);
      expect([...(await find(sentAtMs(3))).values()]).toEqual([again]);
      expect(await find(sentAtMs(3) + 1)).toEqual(new Map());
    });

    it('finds them in a long log, early and late, and after their text is gone', async () => {
      const scribe = given.newScribe();
      for (let block = 0; block < 3; block += 1) {
        const from = scribe.at.seq;
        await scribe.write(
          ...Array.from({ length: 101 }, (_, index) => message(ANN, 'x', { clientId: `k ${from + index + 1}` })),
        );
      }
      await scribe.write(remove(ANN, 2), remove(ANN, 300));
      const keys = [1, 2, 64, 65, 150, 300, 303].map((at) => ({ senderId: ANN, clientId: `k ${at}` }));
      const found = await given.log.findClientIds(scribe.conversationId, keys, 0);
      expect(keys.map((key) => found.get(clientKey(key))?.entry.seq)).toEqual([1, 2, 64, 65, 150, 300, 303]);
      expect(found.get(clientKey({ senderId: ANN, clientId: 'k 300' }))?.entry).toMatchObject({ content: null });
    });
  });
}
