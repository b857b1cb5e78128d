import { describe, expect, it } from '@jest/globals';
import type { ConversationFacts, ConversationId, LogEntry, Role, UserId } from '@parley/contracts';
import fc from 'fast-check';

import {
  apply,
  at,
  freshConversationId,
  freshUserId,
  freshWorkspace,
  memberEntry,
  messageEntry,
  newConversation,
  settingsEntry,
} from './conformance-builders.js';
import type { Directory } from './directory.js';

export function projectionConformance(open: () => Directory): void {
  const channel = async (directory: Directory, owner = freshUserId()) => {
    const conversation = newConversation(freshWorkspace(), 'channel', [owner]);
    await directory.createConversation(conversation);
    return { id: conversation.id, owner };
  };

  describe('applying entries', () => {
    it('adds, changes and removes members and settings, and skips everything else', async () => {
      const directory = open();
      const { id, owner } = await channel(directory);
      const [ann, bob] = [freshUserId(), freshUserId()];
      const facts = await apply(directory, id, 0, [
        memberEntry(id, 1, 'added', [ann, bob]),
        messageEntry(id, 2),
        settingsEntry(id, 3, { name: 'New', topic: 'T', visibility: 'public', history: 'joined' }),
        memberEntry(id, 4, 'role', [ann, freshUserId()], 'admin'),
        memberEntry(id, 5, 'removed', [bob, freshUserId()]),
        settingsEntry(id, 6, { topic: null }),
        messageEntry(id, 7),
      ]);
      expect(facts).toMatchObject({
        name: 'New',
        topic: null,
        visibility: 'public',
        history: 'joined',
        memberCount: 2,
        appliedSeq: 7,
      });
      expect(await directory.conversation(id)).toEqual(facts);
      expect(await directory.memberships(id, [owner, ann, bob])).toEqual(
        new Map([
          [owner, [{ role: 'owner', joinedSeq: 0, leftSeq: null }]],
          [ann, [{ role: 'admin', joinedSeq: 1, leftSeq: null }]],
          [bob, [{ role: 'member', joinedSeq: 1, leftSeq: 5 }]],
        ]),
      );
      expect(await apply(directory, freshConversationId(), 0, [])).toBeNull();
    });

    it('applies an entry once, however often and in whatever order it comes', async () => {
      const directory = open();
      const { id } = await channel(directory);
      const ann = freshUserId();
      const entries = [
        memberEntry(id, 1, 'added', [ann], 'guest'),
        memberEntry(id, 2, 'removed', [ann]),
        memberEntry(id, 3, 'added', [ann], 'admin'),
      ];
      await apply(directory, id, 0, [...entries].reverse(), 3);
      const facts = await apply(directory, id, 0, [...entries, ...entries], 3);
      await Promise.all(Array.from({ length: 5 }, () => apply(directory, id, 0, entries)));
      expect(facts).toMatchObject({ memberCount: 2, appliedSeq: 3 });
      expect(await directory.conversation(id)).toEqual(facts);
      expect((await directory.memberships(id, [ann])).get(ann)).toEqual([
        { role: 'guest', joinedSeq: 1, leftSeq: 2 },
        { role: 'admin', joinedSeq: 3, leftSeq: null },
      ]);
    });

    it('skips what it has applied when it comes again with what is new', async () => {
      const directory = open();
      const { id, owner } = await channel(directory);
      const ann = freshUserId();
      const entries = [
        memberEntry(id, 1, 'added', [ann]),
        memberEntry(id, 2, 'removed', [ann, owner]),
        memberEntry(id, 3, 'added', [owner], 'guest'),
        settingsEntry(id, 4, { topic: 'last' }),
      ];
      await apply(directory, id, 0, entries.slice(0, 2));
      await apply(directory, id, 1, entries.slice(1, 3));
      expect(await apply(directory, id, 0, entries)).toMatchObject({ topic: 'last', memberCount: 1, appliedSeq: 4 });
      expect(await directory.memberships(id, [ann, owner])).toEqual(
        new Map([
          [ann, [{ role: 'member', joinedSeq: 1, leftSeq: 2 }]],
          [
            owner,
            [
              { role: 'owner', joinedSeq: 0, leftSeq: 2 },
              { role: 'guest', joinedSeq: 3, leftSeq: null },
            ],
          ],
        ]),
      );
    });

    it('applies nothing over a gap', async () => {
      const directory = open();
      const { id } = await channel(directory);
      const ann = freshUserId();
      const first = await apply(directory, id, 0, [], 2);
      expect(first?.appliedSeq).toBe(2);
      expect(await apply(directory, id, 3, [memberEntry(id, 4, 'added', [ann])])).toEqual(first);
      expect(await directory.memberships(id, [ann])).toEqual(new Map());
      expect(await apply(directory, id, 2, [memberEntry(id, 4, 'added', [ann])])).toMatchObject({ appliedSeq: 4 });
      expect((await directory.memberships(id, [ann])).get(ann)).toHaveLength(1);
    });

    it('leaves entries beyond what it was told is complete', async () => {
      const directory = open();
      const { id } = await channel(directory);
      const [ann, bob] = [freshUserId(), freshUserId()];
      const entries = [memberEntry(id, 1, 'added', [ann]), memberEntry(id, 3, 'added', [bob])];
      expect(await apply(directory, id, 0, entries, 2)).toMatchObject({ memberCount: 2, appliedSeq: 2 });
      expect(await apply(directory, id, 0, entries, 3)).toMatchObject({ memberCount: 3, appliedSeq: 3 });
    });

    it('gives those it adds no unread messages, also when they come back', async () => {
      const directory = open();
      const { id } = await channel(directory);
      const ann = freshUserId();
      await apply(directory, id, 0, [memberEntry(id, 3, 'added', [ann])]);
      expect(await directory.membershipOf(ann, id)).toMatchObject({
        joinedSeq: 3,
        joinedAt: at(3),
        readSeq: 3,
        deliveredSeq: 3,
      });
      await apply(directory, id, 3, [memberEntry(id, 4, 'removed', [ann]), memberEntry(id, 9, 'added', [ann])]);
      expect(await directory.membershipOf(ann, id)).toMatchObject({ joinedSeq: 9, readSeq: 9, deliveredSeq: 9 });
    });

    it('adds a thousand at once, and keeps who was there as they are', async () => {
      const directory = open();
      const { id, owner } = await channel(directory);
      const thousand = [owner, ...Array.from({ length: 999 }, freshUserId)];
      const facts = await apply(directory, id, 0, [memberEntry(id, 1, 'added', thousand, 'guest')]);
      expect(facts?.memberCount).toBe(1_000);
      expect((await directory.memberships(id, [owner])).get(owner)).toEqual([
        { role: 'owner', joinedSeq: 0, leftSeq: null },
      ]);
      expect(await directory.memberships(id, thousand)).toHaveProperty('size', 1_000);
      expect((await apply(directory, id, 1, [memberEntry(id, 2, 'removed', thousand)]))?.memberCount).toBe(0);
    });

    it('equals a fold over the log, in whatever overlapping pieces it comes', async () => {
      const directory = open();
      const userIds = Array.from({ length: 5 }, freshUserId);
      const steps = fc.array(step(userIds), { minLength: 1, maxLength: 14 });
      const pieces = fc.array(fc.record({ from: fc.nat(6), length: fc.nat(10), reversed: fc.boolean() }), {
        maxLength: 8,
      });
      await fc.assert(
        fc.asyncProperty(steps, pieces, async (made, chosen) => {
          const { id, owner } = await channel(directory, userIds[0]);
          const log = made.map((make, n) => make(id, n + 1));
          for (const { from, length, reversed } of chosen) {
            const upTo = Math.min(from + length, log.length);
            const piece = log.slice(from, upTo);
            if (from <= upTo) await apply(directory, id, from, reversed ? piece.reverse() : piece, upTo);
          }
          const facts = await apply(directory, id, 0, log);
          const model = fold(owner, log);
          expect(facts).toMatchObject({ ...model.settings, memberCount: model.memberCount, appliedSeq: log.length });
          expect(await directory.conversation(id)).toEqual(facts);
          expect(Object.fromEntries(await directory.memberships(id, userIds))).toEqual(model.intervals);
        }),
        { numRuns: 25 },
      );
    });
  });
}

const ROLES: readonly Role[] = ['owner', 'admin', 'member', 'guest'];
type Make = (id: ConversationId, n: number) => LogEntry;

function step(userIds: readonly UserId[]): fc.Arbitrary<Make> {
  const some = fc.subarray([...userIds], { minLength: 1 });
  const role = fc.constantFrom(...ROLES);
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc.tuple(some, role).map(
        ([ids, as]): Make =>
          (id, n) =>
            memberEntry(id, n, 'added', ids, as),
      ),
    },
    {
      weight: 3,
      arbitrary: some.map(
        (ids): Make =>
          (id, n) =>
            memberEntry(id, n, 'removed', ids),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(some, role).map(
        ([ids, as]): Make =>
          (id, n) =>
            memberEntry(id, n, 'role', ids, as),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.string({ maxLength: 5 }).map(
        (topic): Make =>
          (id, n) =>
            settingsEntry(id, n, { topic }),
      ),
    },
    { weight: 1, arbitrary: fc.constant<Make>((id, n) => messageEntry(id, n)) },
  );
}

interface Interval {
  role: Role;
  readonly joinedSeq: number;
  leftSeq: number | null;
}

/** What the projection must come to, said as plainly as possible. */
function fold(owner: UserId, log: readonly LogEntry[]) {
  const intervals: Record<string, Interval[]> = { [owner]: [{ role: 'owner', joinedSeq: 0, leftSeq: null }] };
  const settings: Partial<Pick<ConversationFacts, 'topic'>> = {};
  const current = (userId: string) => intervals[userId]?.find((interval) => interval.leftSeq === null);
  for (const entry of log) {
    if (entry.kind === 'settings' && entry.changes.topic !== undefined)
      Object.assign(settings, { topic: entry.changes.topic });
    if (entry.kind !== 'member') continue;
    for (const userId of entry.userIds) {
      const interval = current(userId);
      const role = entry.role ?? 'member';
      if (entry.op === 'added' && interval === undefined) {
        (intervals[userId] ??= []).push({ role, joinedSeq: entry.seq, leftSeq: null });
      }
      if (entry.op === 'removed' && interval !== undefined) interval.leftSeq = entry.seq;
      if (entry.op === 'role' && interval !== undefined) interval.role = role;
    }
  }
  const memberCount = Object.keys(intervals).filter((userId) => current(userId) !== undefined).length;
  return { intervals, settings, memberCount };
}
