import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { type ConversationId, seq } from '@parley/contracts';
import { script } from '@parley/redis-client';
import { connectTo, type Kind } from '@parley/redis-client/testing';

import { CONVERSATION, type Draft, headAt, headCacheConformance, seenOf, update } from './conformance.js';
import { InProcessHeadCache } from './in-process.js';
import { RedisHeadCache } from './redis.js';

const TIME = script(`return redis.call('TIME')`);

/** What holds on one server and on a cluster. */
export function redisSuite(kind: Kind): void {
  headCacheConformance(`redis on ${kind}`, async (bounds) => {
    const redis = await connectTo(kind);
    const nowMs = async (): Promise<number> => {
      const time = await redis.call({ script: TIME, keys: [redis.keyPrefix], args: [] });
      return Array.isArray(time) ? Number(time[0]) * 1_000 + Number(time[1]) / 1_000 : 0;
    };
    return {
      cache: new RedisHeadCache({ ...bounds, redis }),
      // The clock is the server's: asked until it has come so far.
      async advance(ms) {
        const dueMs = (await nowMs()) + ms;
        while ((await nowMs()) < dueMs);
      },
      close: () => redis.close(),
    };
  });

  describe(`head caches of several processes in ${kind}`, () => {
    it('says what the in-process cache says, whatever is put', async () => {
      // Messages at odd places, and at even ones what changes a message before it.
      const draft = fc.record({ text: fc.string({ maxLength: 60 }), back: fc.nat(5), deletes: fc.boolean() });
      const draftAt = (
        at: number,
        { text, back, deletes }: { text: string; back: number; deletes: boolean },
      ): Draft => {
        if (at % 2 === 1) return { kind: 'message', text };
        const target = Math.max(1, at - 1 - 2 * back);
        return deletes ? { kind: 'delete', target } : { kind: 'edit', target, text };
      };
      const puts = fc.array(
        fc.record({
          skip: fc.integer({ min: -2, max: 2 }),
          drafts: fc.array(draft, { maxLength: 4 }),
          sealed: fc.integer({ min: 0, max: 20 }),
        }),
        { maxLength: 8 },
      );
      const bounds = { entriesMax: 6, bytesMax: 1_200, ttlMs: 60_000 };
      const redis = await connectTo(kind);
      let runs = 0;
      await fc.assert(
        fc.asyncProperty(puts, fc.integer({ min: 0, max: 12 }), async (steps, after) => {
          const model = new InProcessHeadCache(bounds);
          const cache = new RedisHeadCache({ ...bounds, redis });
          const id = `c_${(runs += 1)}` as ConversationId;
          let next = 1;
          for (const { skip, drafts, sealed } of steps) {
            const from = Math.max(1, next + skip);
            const put = update(
              from,
              drafts.map((each, index) => draftAt(from + index, each)),
              id,
            );
            next = Math.max(next, put.head.seq + 1);
            const step = [{ ...put, head: headAt(put.head.seq, sealed) }];
            await Promise.all([model.put(step), cache.put(step)]);
            expect(await seenOf(cache, id, seq(after))).toEqual(await seenOf(model, id, seq(after)));
          }
        }),
        { numRuns: 150 },
      );
      await redis.close();
    });

    it('takes the updates of several writers at once without a hole', async () => {
      const first = await connectTo(kind);
      const second = await connectTo(kind, { keyPrefix: first.keyPrefix });
      const caches = [first, second].map((redis) => new RedisHeadCache({ redis }));
      const updates = Array.from({ length: 200 }, (_, index) => update(index + 1, [{ kind: 'message', text: 'a' }]));
      await Promise.all(updates.map((each, index) => caches[index % 2]?.put([each])));
      const found = await caches[0]?.recent(CONVERSATION, { after: seq(0), limit: 1_000 });
      expect(found?.head.seq).toBe(200);
      const seqs = found?.entries.map(({ entry }) => entry.seq) ?? [];
      expect(seqs).toEqual(
        Array.from({ length: 201 - (found?.firstSeq ?? 0) }, (_, at) => (found?.firstSeq ?? 0) + at),
      );
      for (const redis of [first, second]) await redis.close();
    });
  });
}
