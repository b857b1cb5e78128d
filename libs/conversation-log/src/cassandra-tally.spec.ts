import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { type ConversationId, type UserId } from '@parley/contracts';

import { shardOf, CLIENT_ID_SHARDS } from './cassandra-client-ids.js';
import { counter } from './cassandra-tally.js';
import { ANN, BOB, CAT, message, place, recount, START } from './conformance-entries.js';

const PEOPLE: readonly UserId[] = [ANN, BOB, CAT];

describe('counting messages', () => {
  it('is what visiting every one of them gives, for everyone and at every position', () => {
    const mention = fc.constantFrom('u_ann', 'u_bob', 'u_cat', 'here', '@channel', 'u_nobody');
    const messages = fc.array(fc.tuple(fc.constantFrom(...PEOPLE), fc.array(mention, { maxLength: 3 })), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(messages, (some) => {
        const drafts = some.map(([by, mentions]) => message(by, 'x', { mentions }));
        const stored = place('c_1' as ConversationId, START, drafts);
        const count = counter(some.map(([senderId, mentions], index) => ({ seq: index + 1, senderId, mentions })));
        for (const userId of PEOPLE) {
          for (let after = 0; after <= some.length; after += 1) {
            expect(count(userId, after)).toEqual(recount(stored, userId, after));
          }
        }
      }),
    );
  });
});

describe('shards of client ids', () => {
  it('never move, and are all used', () => {
    const shards = Array.from({ length: 1_000 }, (_, index) => shardOf({ senderId: BOB, clientId: `k${index}` }));
    expect(new Set(shards).size).toBe(CLIENT_ID_SHARDS);
    expect(shards.slice(0, 4)).toEqual([7, 4, 13, 10]);
  });
});
