import { describe, expect, it } from '@jest/globals';
import { seq, type UserId } from '@parley/contracts';

import {
  allPages,
  apply,
  at,
  freshUserId,
  freshWorkspace,
  memberEntry,
  newConversation,
} from './conformance-builders.js';
import type { Directory } from './directory.js';

export function positionsConformance(open: () => Directory): void {
  const group = async (directory: Directory, size: number) => {
    const userIds = Array.from({ length: size }, freshUserId) as [UserId, UserId];
    const conversation = newConversation(freshWorkspace(), 'group', userIds);
    await directory.createConversation(conversation);
    return { id: conversation.id, userIds };
  };

  describe('positions', () => {
    it('moves read forward only, and takes delivered along', async () => {
      const directory = open();
      const { id, userIds } = await group(directory, 2);
      const [ann] = userIds;
      const five = { userId: ann, readSeq: 5, readAt: at(1), deliveredSeq: 5, deliveredAt: at(1) };
      expect(await directory.mark(ann, id, { kind: 'read', seq: seq(5), at: at(1) })).toEqual({ ...five, moved: true });
      expect(await directory.mark(ann, id, { kind: 'read', seq: seq(5), at: at(2) })).toEqual({
        ...five,
        moved: false,
      });
      expect(await directory.mark(ann, id, { kind: 'read', seq: seq(3), at: at(2) })).toEqual({
        ...five,
        moved: false,
      });
      expect(await directory.membershipOf(ann, id)).toMatchObject({ readSeq: 5, deliveredSeq: 5 });
    });

    it('moves delivered forward only, and leaves read alone', async () => {
      const directory = open();
      const { id, userIds } = await group(directory, 2);
      const [ann] = userIds;
      const mark = (kind: 'read' | 'delivered', n: number, minute: number) =>
        directory.mark(ann, id, { kind, seq: seq(n), at: at(minute) });
      expect(await mark('delivered', 7, 1)).toEqual({
        userId: ann,
        readSeq: 0,
        readAt: null,
        deliveredSeq: 7,
        deliveredAt: at(1),
        moved: true,
      });
      expect(await mark('delivered', 6, 2)).toMatchObject({ deliveredSeq: 7, deliveredAt: at(1), moved: false });
      expect(await mark('read', 6, 3)).toEqual({
        userId: ann,
        readSeq: 6,
        readAt: at(3),
        deliveredSeq: 7,
        deliveredAt: at(1),
        moved: true,
      });
    });

    it('marks unread back and forth, without touching what was delivered', async () => {
      const directory = open();
      const { id, userIds } = await group(directory, 2);
      const [ann] = userIds;
      const mark = (kind: 'read' | 'unread', n: number, minute: number) =>
        directory.mark(ann, id, { kind, seq: seq(n), at: at(minute) });
      await mark('read', 9, 1);
      expect(await mark('unread', 2, 2)).toEqual({
        userId: ann,
        readSeq: 2,
        readAt: at(1),
        deliveredSeq: 9,
        deliveredAt: at(1),
        moved: true,
      });
      expect(await mark('unread', 2, 3)).toMatchObject({ moved: false });
      expect(await mark('unread', 4, 4)).toMatchObject({ readSeq: 4, readAt: at(4), deliveredSeq: 9, moved: true });
      expect(await mark('read', 5, 5)).toMatchObject({ readSeq: 5, moved: true });
    });

    it('ends at the furthest of marks that come at once', async () => {
      const directory = open();
      const { id, userIds } = await group(directory, 2);
      const [ann] = userIds;
      const marks = Array.from({ length: 50 }, (_, n) => (n * 37) % 50);
      await Promise.all(marks.map((n) => directory.mark(ann, id, { kind: 'read', seq: seq(n), at: at(n) })));
      expect(await directory.membershipOf(ann, id)).toMatchObject({ readSeq: 49, deliveredSeq: 49 });
    });

    it('keeps the last position that there can be', async () => {
      const directory = open();
      const { id, userIds } = await group(directory, 1);
      const last = seq(Number.MAX_SAFE_INTEGER);
      const marked = await directory.mark(userIds[0], id, { kind: 'read', seq: last, at: at(1) });
      expect(marked).toMatchObject({ readSeq: last, deliveredSeq: last, moved: true });
    });

    it('has no positions of people who are not members', async () => {
      const directory = open();
      const { id, userIds } = await group(directory, 2);
      const [, bob] = userIds;
      await apply(directory, id, 0, [memberEntry(id, 1, 'removed', [bob])]);
      expect(await directory.mark(bob, id, { kind: 'read', seq: seq(1), at: at(1) })).toBeNull();
      expect(await directory.mark(freshUserId(), id, { kind: 'delivered', seq: seq(1), at: at(1) })).toBeNull();
    });

    it('lists and counts who has received and read, in pages by user', async () => {
      const directory = open();
      const { id, userIds } = await group(directory, 6);
      const [sender, ...others] = userIds as [UserId, ...UserId[]];
      const [read, alsoRead, delivered, left] = others as [UserId, UserId, UserId, UserId];
      const mark = (userId: UserId, kind: 'read' | 'delivered', n: number) =>
        directory.mark(userId, id, { kind, seq: seq(n), at: at(n) });
      await Promise.all([
        mark(sender, 'read', 10),
        mark(read, 'read', 10),
        mark(alsoRead, 'read', 12),
        mark(delivered, 'delivered', 10),
        mark(left, 'read', 10),
      ]);
      await apply(directory, id, 0, [memberEntry(id, 11, 'removed', [left])]);
      const pages = await allPages((cursor) => directory.positionsFrom(id, seq(10), sender, { limit: 2, cursor }));
      expect(pages.map((page) => page.map((position) => position.userId))).toEqual([[read, alsoRead], [delivered]]);
      expect(pages[0]?.[0]).toEqual({
        userId: read,
        readSeq: 10,
        readAt: at(10),
        deliveredSeq: 10,
        deliveredAt: at(10),
      });
      expect(await directory.countPositions(id, seq(10), sender)).toEqual({ delivered: 3, read: 2 });
      expect(await directory.countPositions(id, seq(12), sender)).toEqual({ delivered: 1, read: 1 });
      expect(await directory.countPositions(id, seq(99), sender)).toEqual({ delivered: 0, read: 0 });
    });

    it('leaves out those who joined after the message: they have not received it', async () => {
      const directory = open();
      const { id, userIds } = await group(directory, 2);
      const [sender, before] = userIds;
      const [first, later] = [freshUserId(), freshUserId()];
      await apply(directory, id, 0, [memberEntry(id, 4, 'added', [first]), memberEntry(id, 6, 'added', [later])]);
      await directory.mark(before, id, { kind: 'read', seq: seq(6), at: at(7) });
      const listed = async (n: number) =>
        (await directory.positionsFrom(id, seq(n), sender, { limit: 10, cursor: null })).items.map((p) => p.userId);
      expect(await listed(3)).toEqual([before]);
      expect(await directory.countPositions(id, seq(3), sender)).toEqual({ delivered: 1, read: 1 });
      expect(await listed(4)).toEqual([before, first].sort());
      expect(await directory.countPositions(id, seq(4), sender)).toEqual({ delivered: 2, read: 2 });
      // Positions of those who joined later still count for what came after them.
      await directory.mark(later, id, { kind: 'delivered', seq: seq(9), at: at(8) });
      expect(await listed(7)).toEqual([later]);
      expect(await directory.countPositions(id, seq(7), sender)).toEqual({ delivered: 1, read: 0 });
    });
  });
}
