import { describe, expect, it } from '@jest/globals';
import { seq, type UserId } from '@parley/contracts';

import {
  allPages,
  apply,
  at,
  freshConversationId,
  freshUserId,
  freshWorkspace,
  memberEntry,
  newConversation,
  people,
  settingsEntry,
} from './conformance-builders.js';
import type { Directory } from './directory.js';

export function conversationsConformance(open: () => Directory): void {
  const group = async (directory: Directory, size: number) => {
    const workspaceId = freshWorkspace();
    const userIds = (await people(directory, workspaceId, size)).map((user) => user.id);
    const conversation = newConversation(workspaceId, 'group', userIds, { topic: 'Topic' });
    const outcome = await directory.createConversation(conversation);
    return { workspaceId, userIds, conversation, outcome, id: conversation.id };
  };

  describe('conversations', () => {
    it('makes a conversation with its first members in one step', async () => {
      const directory = open();
      const { userIds, conversation, outcome, id } = await group(directory, 3);
      const { members: _members, ...facts } = conversation;
      const expected = { ...facts, deletedAt: null, memberCount: 3, appliedSeq: 0 };
      expect(outcome).toEqual({ kind: 'created', conversation: expected });
      expect(await directory.conversation(id)).toEqual(expected);
      expect(await directory.conversation(freshConversationId())).toBeNull();
      expect(await directory.memberships(id, userIds)).toEqual(
        new Map(
          userIds.map((userId, n) => [userId, [{ role: n === 0 ? 'owner' : 'member', joinedSeq: 0, leftSeq: null }]]),
        ),
      );
      await expect(directory.createConversation(conversation)).rejects.toMatchObject({ code: 'conflict' });
    });

    it('has one direct conversation of two people, whoever begins it', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const [ann, bob, cleo] = (await people(directory, workspaceId, 3)).map((user) => user.id);
      if (ann === undefined || bob === undefined || cleo === undefined) throw new Error('nobody');
      const first = await directory.createConversation(newConversation(workspaceId, 'direct', [ann, bob]));
      const again = await directory.createConversation(newConversation(workspaceId, 'direct', [bob, ann]));
      expect(again).toEqual({ kind: 'existing', conversation: first.conversation });
      const other = await directory.createConversation(newConversation(workspaceId, 'direct', [ann, cleo]));
      expect(other.kind).toBe('created');
      const elsewhere = await directory.createConversation(newConversation(freshWorkspace(), 'direct', [ann, bob]));
      expect(elsewhere.kind).toBe('created');
      await expect(directory.createConversation(newConversation(workspaceId, 'direct', [ann]))).rejects.toThrow(
        RangeError,
      );
    });

    it('makes one direct conversation of ten that are begun at once', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const [ann, bob] = [freshUserId(), freshUserId()];
      const outcomes = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          directory.createConversation(newConversation(workspaceId, 'direct', n % 2 === 0 ? [ann, bob] : [bob, ann])),
        ),
      );
      expect(outcomes.filter(({ kind }) => kind === 'created')).toHaveLength(1);
      expect(new Set(outcomes.map(({ conversation }) => conversation.id)).size).toBe(1);
      expect(await directory.conversationsOf(workspaceId, ann)).toHaveLength(1);
    });

    it('lets two people begin anew when their direct conversation was deleted', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const [ann, bob] = [freshUserId(), freshUserId()];
      const first = newConversation(workspaceId, 'direct', [ann, bob]);
      await directory.createConversation(first);
      await apply(directory, first.id, 0, [settingsEntry(first.id, 1, { deleted: true })]);
      const second = await directory.createConversation(newConversation(workspaceId, 'direct', [ann, bob]));
      expect(second.kind).toBe('created');
    });

    it('lists a user’s memberships with role, positions and peer', async () => {
      const directory = open();
      const { workspaceId, userIds, outcome, id } = await group(directory, 3);
      const [ann, bob] = userIds;
      if (ann === undefined || bob === undefined) throw new Error('nobody');
      const direct = await directory.createConversation(newConversation(workspaceId, 'direct', [ann, bob]));
      await directory.mark(ann, id, { kind: 'read', seq: seq(0), at: at(1) });
      const own = await directory.conversationsOf(workspaceId, ann);
      const inGroup = {
        conversation: outcome.conversation,
        role: 'owner',
        joinedSeq: 0,
        joinedAt: at(0),
        readSeq: 0,
        deliveredSeq: 0,
        peerId: null,
      };
      expect(new Map(own.map((view) => [view.conversation.id, view]))).toEqual(
        new Map<string, object>([
          [id, inGroup],
          [direct.conversation.id, { ...inGroup, conversation: direct.conversation, peerId: bob }],
        ]),
      );
      expect(await directory.membershipOf(ann, id)).toEqual(inGroup);
      expect((await directory.membershipOf(bob, direct.conversation.id))?.peerId).toBe(ann);
      expect(await directory.membershipOf(freshUserId(), id)).toBeNull();
      expect(await directory.conversationsOf(freshWorkspace(), ann)).toEqual([]);
    });

    it('takes who left, and everyone of a deleted conversation, for former members', async () => {
      const directory = open();
      const { workspaceId, userIds, id } = await group(directory, 3);
      const [ann, bob, cleo] = userIds;
      if (ann === undefined || bob === undefined || cleo === undefined) throw new Error('nobody');
      const deleted = newConversation(workspaceId, 'group', [ann, bob]);
      await directory.createConversation(deleted);
      await apply(directory, deleted.id, 0, [settingsEntry(deleted.id, 1, { deleted: true })]);
      await apply(directory, id, 0, [memberEntry(id, 1, 'removed', [bob, cleo]), memberEntry(id, 2, 'added', [cleo])]);

      const ids = [id, deleted.id, freshConversationId()];
      expect(await directory.formerAmong(ann, ids)).toEqual([deleted.id]);
      expect(new Set(await directory.formerAmong(bob, ids))).toEqual(new Set([id, deleted.id]));
      expect(await directory.formerAmong(cleo, ids)).toEqual([]);
      expect(await directory.formerAmong(bob, [])).toEqual([]);
      expect(await directory.conversationsOf(workspaceId, bob)).toEqual([]);
      expect(await directory.membershipOf(bob, id)).toBeNull();
      expect(await directory.membershipOf(ann, deleted.id)).toBeNull();
      expect((await directory.conversation(deleted.id))?.deletedAt).toBe(at(1));
    });

    it('lists public channels by name in pages, and finds them by a part of it', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const channel = (name: string, change: object = {}) =>
        newConversation(workspaceId, 'channel', [freshUserId()], { name, visibility: 'public', ...change });
      for (const name of ['Beta', 'alpha', 'Beta', 'gamma_100%']) await directory.createConversation(channel(name));
      await directory.createConversation(channel('alpha secret', { visibility: 'private' }));
      await directory.createConversation(channel('alpha elsewhere', { workspaceId: freshWorkspace() }));
      const gone = channel('alpha gone');
      await directory.createConversation(gone);
      await apply(directory, gone.id, 0, [settingsEntry(gone.id, 1, { deleted: true })]);

      const list = (query: string | null) =>
        allPages((cursor) => directory.publicChannels(workspaceId, query, { limit: 2, cursor })).then((pages) =>
          pages.map((page) => page.map((facts) => facts.name)),
        );
      expect(await list(null)).toEqual([
        ['alpha', 'Beta'],
        ['Beta', 'gamma_100%'],
      ]);
      expect(await list('BET')).toEqual([['Beta', 'Beta']]);
      expect(await list('_1')).toEqual([['gamma_100%']]);
    });
  });

  describe('long names', () => {
    it('finds a channel by the beginning of a name that is 18 times as long in its plain form', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const name = '\u{fdfa}'.repeat(119) + '\u{1f600}';
      const channel = newConversation(workspaceId, 'channel', [freshUserId()], { name, visibility: 'public' });
      await directory.createConversation(channel);
      const found = await directory.publicChannels(workspaceId, name.slice(0, 3), { limit: 5, cursor: null });
      expect(found.items.map((facts) => facts.name)).toEqual([name]);
    });
  });

  describe('members', () => {
    it('lists current members in order of joining, in pages', async () => {
      const directory = open();
      const { workspaceId, userIds, id } = await group(directory, 3);
      const later = (await people(directory, workspaceId, 3)).map((user) => user.id);
      const [second, third, fourth] = later as [UserId, UserId, UserId];
      const [first, removed] = userIds as [UserId, UserId];
      await apply(directory, id, 0, [
        memberEntry(id, 2, 'added', [third]),
        memberEntry(id, 3, 'added', [second, fourth], 'guest'),
        memberEntry(id, 5, 'removed', [removed]),
      ]);
      const pages = await allPages((cursor) => directory.members(id, { limit: 2, cursor }));
      expect(pages.map((page) => page.length)).toEqual([2, 2, 1]);
      const longer = await allPages((cursor) => directory.members(id, { limit: 3, cursor }));
      expect(longer.map((page) => page.length)).toEqual([3, 2]);
      const listed = pages.flat();
      expect(longer.flat()).toEqual(listed);
      expect(listed.map((member) => member.joinedSeq)).toEqual([0, 0, 2, 3, 3]);
      expect(new Set(listed.map((member) => member.user.id))).toEqual(
        new Set([...userIds.filter((userId) => userId !== removed), ...later]),
      );
      const { user } = listed[2] ?? {};
      expect(listed[2]).toEqual({ user, role: 'member', joinedAt: at(2), joinedSeq: 2 });
      expect(user).toEqual({ id: third, username: third, displayName: `Name of ${third}` });
      expect(listed.find((member) => member.user.id === first)?.role).toBe('owner');
    });

    it('answers intervals of the named only, and of everyone', async () => {
      const directory = open();
      const { userIds, id } = await group(directory, 2);
      const [ann, bob] = userIds as [UserId, UserId];
      const cleo = freshUserId();
      await apply(directory, id, 0, [
        memberEntry(id, 1, 'removed', [bob]),
        memberEntry(id, 4, 'added', [bob, cleo], 'admin'),
        memberEntry(id, 6, 'removed', [cleo]),
        memberEntry(id, 8, 'removed', [bob]),
        memberEntry(id, 9, 'added', [bob]),
      ]);
      const ofBob = [
        { role: 'member', joinedSeq: 0, leftSeq: 1 },
        { role: 'admin', joinedSeq: 4, leftSeq: 8 },
        { role: 'member', joinedSeq: 9, leftSeq: null },
      ];
      const ofCleo = [{ role: 'admin', joinedSeq: 4, leftSeq: 6 }];
      expect(await directory.memberships(id, [bob, cleo, freshUserId()])).toEqual(
        new Map<string, object>([
          [bob, ofBob],
          [cleo, ofCleo],
        ]),
      );
      const rows = await directory.allMemberships(id);
      expect(rows).toHaveLength(5);
      expect(rows.filter((row) => row.userId === ann)).toEqual([
        { userId: ann, role: 'owner', joinedSeq: 0, leftSeq: null },
      ]);
      await expect(
        directory.memberships(
          id,
          Array.from({ length: 10_001 }, () => ann),
        ),
      ).rejects.toThrow(RangeError);
    });

    it('knows who shares a conversation with whom, now and in this workspace', async () => {
      const directory = open();
      const { workspaceId, userIds, id } = await group(directory, 3);
      const [ann, bob, cleo] = userIds as [UserId, UserId, UserId];
      const [inDeleted, elsewhere, stranger] = [freshUserId(), freshUserId(), freshUserId()];
      const deleted = newConversation(workspaceId, 'group', [ann, inDeleted]);
      await directory.createConversation(deleted);
      await apply(directory, deleted.id, 0, [settingsEntry(deleted.id, 1, { deleted: true })]);
      await directory.createConversation(newConversation(freshWorkspace(), 'group', [ann, elsewhere]));
      const asked = [bob, cleo, inDeleted, elsewhere, stranger];
      expect(new Set(await directory.acquainted(workspaceId, ann, asked))).toEqual(new Set([bob, cleo]));
      await apply(directory, id, 0, [memberEntry(id, 1, 'removed', [cleo])]);
      expect(await directory.acquainted(workspaceId, ann, asked)).toEqual([bob]);
    });
  });
}
