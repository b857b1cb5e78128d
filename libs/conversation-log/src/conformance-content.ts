import { describe, expect, it } from '@jest/globals';

import { seq, type StoredEntry } from '@parley/contracts';

import { added, ANN, BOB, CAT, edit, message, reaction, recount, remove, sentAtMs } from './conformance-entries.js';
import type { Given } from './conformance-given.js';

/** What counts, and what is gone once it was deleted. */
export function describeContent(given: Given): void {
  describe('counting', () => {
    it('counts neither own nor deleted messages, nor what is no message', async () => {
      const scribe = given.newScribe();
      await scribe.write(message(ANN, '1'), message(BOB, '2', { mentions: ['u_ann', 'u_ann'] }), added(ANN, [CAT]));
      await scribe.write(
        message(BOB, '4', { mentions: ['channel', 'u_ann'] }),
        message(ANN, '5', { mentions: ['u_ann', '@here'] }),
      );
      await scribe.write(message(BOB, '6', { mentions: ['here'] }), remove(BOB, 6), reaction(BOB, 1, '👍'));
      const at = (userId: typeof ANN, afterSeq: number) => ({
        conversationId: scribe.conversationId,
        userId,
        afterSeq: seq(afterSeq),
      });
      expect(
        await given.log.tally([at(ANN, 0), at(ANN, 2), at(BOB, 0), at(CAT, 0), at(CAT, 4), at(ANN, 8), at(ANN, 99)]),
      ).toEqual([
        { unread: 2, mentions: 2 },
        { unread: 1, mentions: 1 },
        { unread: 2, mentions: 1 },
        { unread: 4, mentions: 2 },
        { unread: 1, mentions: 1 },
        { unread: 0, mentions: 0 },
        { unread: 0, mentions: 0 },
      ]);
    });

    it('is what a recount from the log gives, at every position of a long log', async () => {
      const scribe = given.newScribe();
      const people = [ANN, BOB, CAT];
      for (let at = 1; at <= 300; at += 1) {
        const by = people[at % 3] ?? ANN;
        if (at % 7 === 0) await scribe.write(remove(by, Math.max(1, at - (at % 5) * 40)));
        else
          await scribe.write(
            message(by, `${at}`, { mentions: at % 11 === 0 ? ['u_ann'] : at % 13 === 0 ? ['here'] : [] }),
          );
      }
      const entries = await given.readAll(scribe);
      const requests = people.flatMap((userId) =>
        entries.map((_, after) => ({ conversationId: scribe.conversationId, userId, afterSeq: seq(after) })),
      );
      expect(await given.log.tally(requests)).toEqual(
        requests.map(({ userId, afterSeq }) => recount(entries, userId, afterSeq)),
      );
    });
  });

  describe('redaction', () => {
    it('takes content and mentions of a deleted message, and its edits, out of every answer', async () => {
      const scribe = given.newScribe();
      await scribe.write(
        message(ANN, 'parent'),
        message(BOB, 'SECRET', { clientId: 'k', parentSeq: seq(1), mentions: ['u_ann'] }),
        edit(BOB, 2, 'SECRET 2'),
        message(ANN, 'SECRET to others', { clientId: 'other' }),
      );
      await scribe.write(remove(ANN, 2));
      await scribe.write(edit(BOB, 2, 'SECRET 3'));
      const { conversationId } = scribe;
      const deletedAt = new Date(sentAtMs(5)).toISOString();
      const gone = { content: null, deletedAt };
      const entries = await given.readAll(scribe);
      expect(entries[1]?.entry).toMatchObject({ kind: 'message', clientId: 'k', parentSeq: 1, ...gone });
      expect(entries[1]?.entry).not.toHaveProperty('mentions');
      expect([entries[2]?.entry, entries[5]?.entry]).toMatchObject([gone, gone]);
      const answers = [
        entries,
        await given.log.readMessages(conversationId, { after: seq(0), take: 'first', limit: 9 }),
        await given.log.readChanges(conversationId, { from: seq(1), to: seq(9) }),
        await given.log.readReplies(conversationId, seq(1), { after: seq(0), limit: 9 }),
        [...(await given.log.findClientIds(conversationId, [{ senderId: BOB, clientId: 'k' }], 0)).values()],
        ((await scribe.attempt(0, message(ANN, 'late'))) as { missed: readonly StoredEntry[] }).missed,
      ];
      for (const answer of answers) {
        for (const { entry, json } of answer) {
          expect(json).toBe(JSON.stringify(entry));
          if (entry.seq !== 4) expect(json).not.toContain('SECRET');
        }
      }
      expect(answers.map((answer) => answer.length)).toEqual([6, 3, 3, 1, 1, 6]);
      expect(entries[3]?.json).toContain('SECRET to others');
    });

    it('keeps the time of the first delete, also within one append', async () => {
      const scribe = given.newScribe();
      await scribe.write(message(ANN, 'x'), edit(ANN, 1, 'y'), remove(ANN, 1), edit(ANN, 1, 'z'), remove(ANN, 1));
      const entries = await given.readAll(scribe);
      const deletedAt = new Date(sentAtMs(3)).toISOString();
      expect([0, 1, 3].map((index) => entries[index]?.entry)).toMatchObject(
        [0, 1, 3].map(() => ({ content: null, deletedAt })),
      );
    });

    it('lets a delete of what is not there pass', async () => {
      const scribe = given.newScribe();
      await scribe.write(message(ANN, 'x'), remove(ANN, 77));
      expect(await given.log.head(scribe.conversationId)).toMatchObject({ seq: 2, ordinal: 1 });
    });
  });
}
