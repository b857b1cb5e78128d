import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { type ConversationId, seq, type StoredEntry } from '@parley/contracts';

import { describeContent } from './conformance-content.js';
import {
  added,
  ANN,
  BOB,
  CAT,
  message,
  place,
  positionOf,
  remove,
  renamed,
  Scribe,
  sentAtMs,
  START,
} from './conformance-entries.js';
import type { Given } from './conformance-given.js';
import { checkAgainstModel } from './conformance-model.js';
import { describeReads } from './conformance-reads.js';
import {
  APPEND_MAX_ENTRIES,
  type AppendOutcome,
  clientKey,
  type ConversationLog,
  EMPTY_HEAD,
  READ_MAX_ENTRIES,
} from './conversation-log.js';

export interface ConformanceSubject {
  readonly log: ConversationLog;
  /** Closes the log and opens the same store again; absent where an adapter's store is not durable. */
  readonly reopen?: () => Promise<ConversationLog>;
  close(): Promise<void>;
}

const MODEL_RUNS = 25;

/** What every adapter of the port must do; each joins with one line. */
export function conversationLogConformance(name: string, open: () => Promise<ConformanceSubject>): void {
  describe(`${name} as a conversation log`, () => {
    let subject: ConformanceSubject;
    let log: ConversationLog;
    let conversations = 0;
    const newScribe = (writer?: string): Scribe =>
      new Scribe(log, `c_${(conversations += 1)}` as ConversationId, writer);

    beforeEach(async () => {
      subject = await open();
      log = subject.log;
    });
    afterEach(() => subject.close());

    const readAll = (scribe: Scribe): Promise<readonly StoredEntry[]> =>
      log.read(scribe.conversationId, { after: seq(0), limit: READ_MAX_ENTRIES });

    it('answers for a conversation without entries as for an empty log', async () => {
      const id = 'c_unknown' as ConversationId;
      expect(await log.head(id)).toEqual(EMPTY_HEAD);
      expect(await log.heads([id])).toEqual(new Map());
      expect(await log.read(id, { after: seq(0), limit: 10 })).toEqual([]);
      expect(await log.readMessages(id, { after: seq(0), take: 'last', limit: 10 })).toEqual([]);
      expect(await log.readChanges(id, { from: seq(1), to: seq(10) })).toEqual([]);
      expect(await log.readReplies(id, seq(1), { after: seq(0), limit: 10 })).toEqual([]);
      expect(await log.replySummaries(id, [seq(1)])).toEqual(new Map());
      expect(await log.readPins(id)).toEqual([]);
      expect(await log.findClientIds(id, [{ senderId: ANN, clientId: 'x' }], 0)).toEqual(new Map());
      expect(await log.tally([{ conversationId: id, userId: ANN, afterSeq: seq(0) }])).toEqual([
        { unread: 0, mentions: 0 },
      ]);
      await log.seal(id, seq(5));
      expect(await log.head(id)).toEqual(EMPTY_HEAD);
    });

    describe('appending', () => {
      it('keeps entries as they were handed over, and the head', async () => {
        const scribe = newScribe();
        const first = await scribe.write(message(ANN, 'é😀\n"', { clientId: 'a', mentions: ['u_bob'] }));
        const more = await scribe.write(added(ANN, [CAT]), message(BOB, 'two'), renamed(ANN, 'plans'));
        expect(await readAll(scribe)).toEqual([...first, ...more]);
        const head = await log.head(scribe.conversationId);
        expect(head).toEqual({
          seq: 4,
          ordinal: 2,
          memberSeq: 2,
          lastMessageSeq: 3,
          lastAtMs: sentAtMs(4),
          sealedSeq: 0,
        });
        expect(await log.heads([scribe.conversationId, 'c_none' as ConversationId])).toEqual(
          new Map([[scribe.conversationId, head]]),
        );
      });

      it('keeps text that JSON escapes byte for byte', async () => {
        const scribe = newScribe();
        const entries = await scribe.write(message(ANN, 'a\\u0000b \u2028 \u0001 </script> %s $1 ?1 \'";--'));
        expect((await readAll(scribe))[0]?.json).toBe(entries[0]?.json);
      });

      it('takes the most entries that an append may have, in one step', async () => {
        const { conversationId } = newScribe();
        const most = log.appendLimit(seq(0));
        const drafts = Array.from({ length: most }, (_, index) => message(ANN, `${index}`));
        const appended = place(conversationId, START, drafts);
        expect(await log.append(conversationId, seq(0), appended)).toMatchObject({ kind: 'appended' });
        expect(await log.read(conversationId, { after: seq(0), limit: READ_MAX_ENTRIES })).toEqual(appended);
      });

      it('lets every position be followed by at least one entry, and by no more than the most', () => {
        for (let head = 0; head <= 20_000; head += 1) {
          const limit = log.appendLimit(seq(head));
          if (limit < 1 || limit > APPEND_MAX_ENTRIES) throw new Error(`appendLimit(${head}) is ${limit}`);
        }
      });

      it('refuses entries that are not consecutive from the expected head, none, or too many', async () => {
        const { conversationId } = newScribe();
        const some = place(conversationId, START, [message(ANN, '1'), message(ANN, '2'), message(ANN, '3')]);
        const many = Array.from({ length: log.appendLimit(seq(0)) + 1 }, () => message(ANN, 'x'));
        await expect(log.append(conversationId, seq(1), some)).rejects.toThrow(RangeError);
        await expect(log.append(conversationId, seq(0), some.toReversed())).rejects.toThrow(RangeError);
        await expect(log.append(conversationId, seq(0), [])).rejects.toThrow(RangeError);
        const tooMany = place(conversationId, START, many);
        await expect(log.append(conversationId, seq(0), tooMany)).rejects.toThrow(RangeError);
        expect(await log.head(conversationId)).toEqual(EMPTY_HEAD);
      });

      it('writes nothing on a conflict, and tells what was missed', async () => {
        const scribe = newScribe();
        const [first, ...missed] = await scribe.write(message(ANN, '1'), message(BOB, '2'), message(BOB, '3'));
        const head = await log.head(scribe.conversationId);
        expect(await scribe.attempt(1, message(CAT, 'too late'))).toEqual({ kind: 'conflict', head, missed });
        expect(await scribe.attempt(7, message(CAT, 'too early'))).toEqual({ kind: 'conflict', head, missed: [] });
        expect(await readAll(scribe)).toEqual([first, ...missed]);
      });

      it('lets exactly one of twenty racing writers win', async () => {
        const scribe = newScribe();
        await scribe.write(message(ANN, 'start'));
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, (_, index) => scribe.attempt(1, message(BOB, `racer ${index}`))),
        );
        const conflicts = outcomes.filter((outcome) => outcome.kind === 'conflict');
        expect(conflicts).toHaveLength(19);
        const [, winner] = await readAll(scribe);
        for (const conflict of conflicts) expect(conflict.missed).toEqual([winner]);
        expect(await log.head(scribe.conversationId)).toMatchObject({ seq: 2, ordinal: 2 });
      });

      it('stays dense when racing writers try again from what they missed', async () => {
        const { conversationId } = newScribe();
        const race = async (writer: number): Promise<void> => {
          let known: readonly StoredEntry[] = [];
          let outcome: AppendOutcome;
          do {
            const at = positionOf(known);
            const drafts = ['a', 'b']
              .slice(0, log.appendLimit(seq(at.seq)))
              .map((part) => message(ANN, `${writer}${part}`));
            outcome = await log.append(conversationId, seq(at.seq), place(conversationId, at, drafts));
            if (outcome.kind === 'conflict' && outcome.missed.length > 0) known = outcome.missed;
            else if (outcome.kind === 'appended') written += drafts.length;
          } while (outcome.kind === 'conflict');
        };
        let written = 0;
        await Promise.all(Array.from({ length: 20 }, (_, writer) => race(writer)));
        const entries = await log.read(conversationId, { after: seq(0), limit: READ_MAX_ENTRIES });
        expect(entries.map(({ entry }) => entry.seq)).toEqual(Array.from({ length: written }, (_, index) => index + 1));
        expect(new Set(entries.map(({ json }) => JSON.parse(json).content.text)).size).toBe(written);
      });

      it('shows an entry to every method once the append has answered', async () => {
        const scribe = newScribe();
        for (let round = 1; round <= 20; round += 1) {
          await scribe.write(message(ANN, `${round}`, { clientId: `k${round}` }));
          const key = { senderId: ANN, clientId: `k${round}` };
          const [head, last, found, tally] = await Promise.all([
            log.head(scribe.conversationId),
            log.read(scribe.conversationId, { after: seq(round - 1), limit: 10 }),
            log.findClientIds(scribe.conversationId, [key], 0),
            log.tally([{ conversationId: scribe.conversationId, userId: BOB, afterSeq: seq(0) }]),
          ]);
          expect([head.seq, last.length, found.size, tally[0]?.unread]).toEqual([round, 1, 1, round]);
        }
      });
    });

    describe('sealing', () => {
      it('moves forward only, never beyond the head', async () => {
        const scribe = newScribe();
        await scribe.write(message(ANN, '1'), message(ANN, '2'), message(ANN, '3'));
        const sealed = async (): Promise<number> => (await log.head(scribe.conversationId)).sealedSeq;
        await log.seal(scribe.conversationId, seq(2));
        expect(await sealed()).toBe(2);
        await log.seal(scribe.conversationId, seq(1));
        expect(await sealed()).toBe(2);
        await log.seal(scribe.conversationId, seq(9));
        expect(await sealed()).toBe(3);
        await scribe.write(message(ANN, '4'));
        expect(await sealed()).toBe(3);
      });

      it('lists the conversations with an unsealed tail', async () => {
        const [one, two, three] = [newScribe(), newScribe(), newScribe()];
        for (const scribe of [one, two, three]) await scribe.write(message(ANN, '1'));
        await log.seal(two.conversationId, seq(1));
        expect([...(await log.unsealed(10))].sort()).toEqual([one.conversationId, three.conversationId].sort());
        expect(await log.unsealed(1)).toHaveLength(1);
        await two.write(message(ANN, '2'));
        expect(await log.unsealed(10)).toHaveLength(3);
      });

      it('lists what writers left who are gone', async () => {
        const scribes = ['w1.1', 'w1.1', 'w2.1'].map((writer) => newScribe(writer));
        for (const scribe of scribes) await scribe.write(message(ANN, '1'));
        const [sealed, left] = scribes.map(({ conversationId }) => conversationId);
        if (sealed !== undefined) await log.seal(sealed, seq(1));
        const found = await log.unsealed(10, (writer) => writer === 'w1.1');
        expect(found).toContain(left);
        expect(found).not.toContain(sealed);
      });

      it('finds client ids before and after, also from where they are said to be known', async () => {
        const scribe = newScribe();
        const entries = await scribe.write(
          message(ANN, '1', { clientId: 'a' }),
          message(ANN, '2', { clientId: 'b' }),
          message(ANN, '3', { clientId: 'c' }),
        );
        const keys = ['a', 'b', 'c'].map((clientId) => ({ senderId: ANN, clientId }));
        for (const upTo of [0, 1, 2, 3]) {
          await log.seal(scribe.conversationId, seq(upTo));
          for (const knownFrom of [0, 1, 2, 3]) {
            const found = await log.findClientIds(scribe.conversationId, keys, 0, seq(knownFrom));
            const seqs = [...found.values()].map(({ entry }) => entry.seq);
            expect(seqs).toEqual(expect.arrayContaining([1, 2, 3].slice(0, knownFrom)));
          }
          const found = await log.findClientIds(scribe.conversationId, keys, 0);
          expect(keys.map((key) => found.get(clientKey(key)))).toEqual(entries);
        }
      });
    });

    const given: Given = {
      get log() {
        return log;
      },
      newScribe,
      readAll,
    };
    describeReads(given);
    describeContent(given);

    it('does what a plain list does, for random histories', () => checkAgainstModel(log, MODEL_RUNS), 60_000);

    it('has everything after it was closed and opened again', async () => {
      if (subject.reopen === undefined) return;
      const scribe = newScribe();
      await scribe.write(message(ANN, '1', { clientId: 'k', mentions: ['here'] }), message(BOB, '2'), remove(BOB, 2));
      await log.seal(scribe.conversationId, seq(2));
      const before = { entries: await readAll(scribe), head: await log.head(scribe.conversationId) };
      log = await subject.reopen();
      expect({ entries: await readAll(scribe), head: await log.head(scribe.conversationId) }).toEqual(before);
      expect(await log.tally([{ conversationId: scribe.conversationId, userId: BOB, afterSeq: seq(0) }])).toEqual([
        { unread: 1, mentions: 1 },
      ]);
      expect(await new Scribe(log, scribe.conversationId).attempt(0, message(CAT, 'late'))).toMatchObject({
        kind: 'conflict',
        missed: before.entries,
      });
    });
  });
}
