import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type Actor,
  type ChatServerLink,
  type Command,
  type CommandBody,
  type CommandOutcome,
  type ConversationFacts,
  type ConversationId,
  DEFAULT_WORKSPACE,
  type DeliveryLink,
  type DirectoryLink,
  type InstanceId,
  type LogEntry,
  type MessagesRecord,
  ParleyError,
  type PresenceLink,
  type RoomPush,
  type RoutingLink,
  seq,
  type SessionId,
  type UserId,
  type UserPush,
} from '@parley/contracts';

import type { Links } from './links.js';

export interface LinksSubject {
  /** Calls from here … */
  readonly caller: Links;
  /** … to what is served here. The same, for links within one process. */
  readonly callee: Links;
  close(): Promise<void>;
}

export const ann = 'ann' as UserId;
export const ben = 'ben' as UserId;
export const room = 'c1' as ConversationId;
export const actor: Actor = { workspaceId: DEFAULT_WORKSPACE, userId: ann };

export function commandOf(body: CommandBody, conversationId: ConversationId = room): Command {
  return {
    actor,
    conversationId,
    context: { requestId: 'r1', traceparent: '00-1-2-01', receivedAtMs: 1_767_225_600_123 },
    originSessionId: 's1' as SessionId,
    body,
  };
}

export function entryAt(at: number, text = 'hello'): LogEntry {
  return {
    conversationId: room,
    seq: seq(at),
    id: `${room}.${at}`,
    senderId: ann,
    sentAt: '2026-01-01T00:00:00.000Z',
    kind: 'message',
    clientId: `m${at}`,
    content: { type: 'text', text },
  };
}

export function recordOf(...entries: readonly LogEntry[]): MessagesRecord {
  return {
    workspaceId: DEFAULT_WORKSPACE,
    conversationId: room,
    type: 'group',
    history: 'joined',
    entries: entries.map((entry) => ({
      entry,
      json: JSON.stringify(entry),
      ordinal: entry.seq,
      memberSeq: seq(0),
      prevMemberSeq: seq(0),
      receivedAtMs: 5,
    })),
  };
}

export function pushTo(userIds: readonly UserId[], data = '{"seq":1}'): UserPush {
  return { workspaceId: DEFAULT_WORKSPACE, userIds, frames: [{ event: 'message.new', data }], receivedAtMs: 7 };
}

const roomPush: RoomPush = {
  workspaceId: DEFAULT_WORKSPACE,
  conversationId: room,
  history: 'all',
  frames: [{ event: 'typing.start', data: '{}' }],
  seq: seq(3),
  showsSeq: seq(3),
  memberSeq: seq(2),
  prevMemberSeq: seq(1),
  exceptUserIds: [ann],
  receivedAtMs: 0,
};

const facts: ConversationFacts = {
  workspaceId: DEFAULT_WORKSPACE,
  id: room,
  type: 'channel',
  name: 'general',
  topic: null,
  visibility: 'public',
  history: 'all',
  createdBy: ann,
  createdAt: '2026-01-01T00:00:00.000Z',
  deletedAt: null,
  memberCount: 2,
  appliedSeq: seq(4),
};

/** What every adapter of links must do, of every link but the door. */
export function linksConformance(name: string, open: () => Promise<LinksSubject>): void {
  describe(`${name} as links`, () => {
    let subject: LinksSubject;
    let address: string;
    beforeEach(async () => {
      subject = await open();
      address = subject.callee.address;
    });
    afterEach(() => subject.close());

    const routing = (submit: RoutingLink['submit']): RoutingLink => {
      subject.callee.serve('routing', address, { submit });
      return subject.caller.connect('routing', address);
    };

    describe('routing', () => {
      it('submits each command as it is and answers with its own outcome', async () => {
        const outcomes: CommandOutcome[] = [
          { kind: 'accepted', entry: entryAt(1) },
          { kind: 'duplicate', entry: entryAt(1) },
          { kind: 'unchanged', seq: seq(9) },
          { kind: 'refused', refusal: { code: 'rate_limited', message: 'slowly', retryAfterMs: 40 } },
        ];
        const seen: Command[] = [];
        const link = routing(async (command) => {
          seen.push(command);
          return outcomes[seen.length - 1] ?? { kind: 'unchanged', seq: seq(0) };
        });
        const commands = [
          commandOf({ kind: 'message', clientId: 'a', content: { type: 'text', text: 'grüß dich 👋' }, mentions: [] }),
          commandOf({ kind: 'member', op: 'added', userIds: [ben] }),
          commandOf({ kind: 'settings', changes: { name: null } }),
          commandOf({ kind: 'leave' }),
        ];
        expect(await Promise.all(commands.map((command) => link.submit(command)))).toEqual(outcomes);
        expect(seen).toEqual(commands);
      });

      it('answers calls as they end, not as they began', async () => {
        const held = Promise.withResolvers<CommandOutcome>();
        const link = routing(({ body }) =>
          body.kind === 'join' ? held.promise : Promise.resolve({ kind: 'unchanged', seq: seq(2) }),
        );
        const first = link.submit(commandOf({ kind: 'join' }));
        expect(await link.submit(commandOf({ kind: 'leave' }))).toEqual({ kind: 'unchanged', seq: 2 });
        held.resolve({ kind: 'unchanged', seq: seq(1) });
        expect(await first).toEqual({ kind: 'unchanged', seq: 1 });
      });

      it('throws what the service refuses, whole', async () => {
        const refusal = { retryAfterMs: 1_500, issues: [{ path: 'a.0', message: 'no' }] };
        const link = routing(async () => {
          throw new ParleyError('overloaded', 'zu viel', refusal);
        });
        await expect(link.submit(commandOf({ kind: 'join' }))).rejects.toMatchObject({
          refusal: { code: 'overloaded', message: 'zu viel', ...refusal },
        });
      });

      it('goes on after a call failed', async () => {
        const link = routing(async ({ body }) => {
          if (body.kind === 'leave') throw new Error('a bug');
          return { kind: 'unchanged', seq: seq(1) };
        });
        const failed = link.submit(commandOf({ kind: 'leave' }));
        const done = link.submit(commandOf({ kind: 'join' }));
        await expect(failed).rejects.toThrow();
        expect(await done).toEqual({ kind: 'unchanged', seq: 1 });
      });

      it('starts calls in the order in which they were made', async () => {
        const seen: string[] = [];
        const link = routing(async ({ conversationId }) => {
          seen.push(conversationId);
          return { kind: 'unchanged', seq: seq(1) };
        });
        const ids = Array.from({ length: 500 }, (_, index) => `c${index}` as ConversationId);
        await Promise.all(ids.map((id) => link.submit(commandOf({ kind: 'join' }, id))));
        expect(seen).toEqual(ids);
      });
    });

    describe('directory', () => {
      const asked: unknown[][] = [];
      const directory: DirectoryLink = {
        conversation: async (id) => (id === room ? facts : null),
        async memberships(...call) {
          asked.push(call);
          const members = new Map([[ann, [{ role: 'owner' as const, joinedSeq: seq(0), leftSeq: null }]]]);
          return { appliedSeq: seq(4), members };
        },
        allMemberships: async () => ({
          appliedSeq: seq(4),
          members: [{ userId: ben, role: 'guest', joinedSeq: seq(1), leftSeq: seq(3) }],
        }),
        channelsOf: async () => [{ conversationId: room, joinedSeq: seq(1), appliedSeq: seq(4) }],
        acquainted: async (_actor, userIds) => userIds.filter((userId) => userId === ben),
        async sync(...call) {
          asked.push(call);
          return { changed: [], added: [], removed: [room] };
        },
        async mark(...call) {
          asked.push(call);
          if (call[1].seq === 0) throw new ParleyError('forbidden', 'not yours');
          return { readSeq: call[1].seq, unread: 3 };
        },
        conversationFor: async (_actor, id) => (id === room ? { id, unread: 1 } : null),
      };
      const connected = (): DirectoryLink => {
        asked.length = 0;
        subject.callee.serve('directory', address, directory);
        return subject.caller.connect('directory', address);
      };

      it('answers each question', async () => {
        const link = connected();
        expect(await link.conversation(room)).toEqual(facts);
        expect(await link.conversation('other' as ConversationId)).toBeNull();
        expect(await link.memberships(room, [ann, ben], seq(4))).toEqual({
          appliedSeq: 4,
          members: new Map([[ann, [{ role: 'owner', joinedSeq: 0, leftSeq: null }]]]),
        });
        expect(await link.allMemberships(room, seq(0))).toEqual({
          appliedSeq: 4,
          members: [{ userId: ben, role: 'guest', joinedSeq: 1, leftSeq: 3 }],
        });
        expect(await link.channelsOf(actor)).toEqual([{ conversationId: room, joinedSeq: 1, appliedSeq: 4 }]);
        expect(await link.acquainted(actor, [ann, ben])).toEqual([ben]);
        expect(await link.sync(actor, { cursors: { [room]: seq(2) }, limit: 10 })).toEqual({
          changed: [],
          added: [],
          removed: [room],
        });
        expect(await link.conversationFor(actor, room)).toEqual({ id: room, unread: 1 });
        expect(await link.conversationFor(actor, 'other' as ConversationId)).toBeNull();
        expect(asked).toEqual([
          [room, [ann, ben], 4],
          [actor, { cursors: { [room]: 2 }, limit: 10 }],
        ]);
      });

      it('moves marks, each answered by itself', async () => {
        const link = connected();
        const mark = (at: number) => ({ kind: 'read' as const, conversationId: room, seq: seq(at) });
        const origin = 's1' as SessionId;
        const [moved, refused] = await Promise.allSettled([
          link.mark(actor, mark(5), origin),
          link.mark(actor, mark(0)),
        ]);
        expect(moved).toEqual({ status: 'fulfilled', value: { readSeq: 5, unread: 3 } });
        expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'forbidden', message: 'not yours' } });
        expect(asked[0]).toEqual([actor, mark(5), origin]);
      });

      it('throws what the service refuses, whole', async () => {
        subject.callee.serve('directory', address, {
          ...directory,
          async conversation() {
            throw new ParleyError('unavailable', 'später', { retryAfterMs: 9 });
          },
        });
        await expect(subject.caller.connect('directory', address).conversation(room)).rejects.toMatchObject({
          refusal: { code: 'unavailable', message: 'später', retryAfterMs: 9 },
        });
      });
    });

    it('presence takes beats and tells who is there', async () => {
      const beats: unknown[] = [];
      const service: PresenceLink = {
        beat: async (...beat) => void beats.push(beat),
        get: async (_workspace, userIds) =>
          userIds.map((userId) => ({ userId, status: 'offline' as const, lastSeenAt: null })),
      };
      subject.callee.serve('presence', address, service);
      const link = subject.caller.connect('presence', address);
      const beat = { workspaceId: DEFAULT_WORKSPACE, userId: ann, status: 'online' as const };
      await link.beat('chat-1' as InstanceId, 3, [beat]);
      expect(beats).toEqual([['chat-1', 3, [beat]]]);
      expect(await link.get(DEFAULT_WORKSPACE, [ben])).toEqual([{ userId: ben, status: 'offline', lastSeenAt: null }]);
    });

    it('chat takes pushes to users and to rooms in one order, and says whom it reached', async () => {
      const pushed: unknown[] = [];
      const service: ChatServerLink = {
        async push(pushes) {
          pushed.push(...pushes);
          return pushes.map(({ userIds }) => userIds.filter((userId) => userId === ann));
        },
        pushRooms: async (pushes) => void pushed.push(...pushes),
      };
      subject.callee.serve('chat', address, service);
      const link = subject.caller.connect('chat', address);
      const join: UserPush = {
        ...pushTo([ben]),
        room: { op: 'join', channel: { conversationId: room, joinedSeq: seq(1), appliedSeq: seq(1) } },
      };
      const [reached] = await Promise.all([
        link.push([pushTo([ann, ben]), join]),
        link.pushRooms([roomPush]),
        link.push([pushTo([ann])]),
      ]);
      expect(reached).toEqual([[ann], []]);
      expect(pushed).toEqual([pushTo([ann, ben]), join, roomPush, pushTo([ann])]);
    });

    it('delivery takes records, byte for byte', async () => {
      const delivered: MessagesRecord[] = [];
      const service: DeliveryLink = {
        deliver: async (records) => void delivered.push(...records),
        expects: async (ids) => new Map(ids.slice(0, 1).map((id) => [id, seq(7)])),
      };
      subject.callee.serve('delivery', address, service);
      const record = recordOf(entryAt(1), entryAt(2, 'ß'));
      const link = subject.caller.connect('delivery', address);
      await link.deliver([record]);
      expect(delivered).toEqual([record]);
      expect(await link.expects([room, 'elsewhere' as ConversationId])).toEqual(new Map([[room, 7]]));
    });

    it('serves each link once at an address, until it is closed', async () => {
      const service: RoutingLink = { submit: async () => ({ kind: 'unchanged', seq: seq(1) }) };
      const served = subject.callee.serve('routing', address, service);
      expect(() => subject.callee.serve('routing', address, service)).toThrow(
        `routing is already served at ${address}`,
      );
      served.close();
      const asked = async (): Promise<unknown> =>
        subject.caller.connect('routing', address).submit(commandOf({ kind: 'join' }));
      await expect(asked()).rejects.toMatchObject({ code: 'unavailable', sent: false });
      subject.callee.serve('routing', address, service);
      expect(await asked()).toEqual({ kind: 'unchanged', seq: 1 });
    });

    it('is unavailable where nobody is, unsent', async () => {
      const asked = async (): Promise<unknown> =>
        subject.caller.connect('routing', '127.0.0.1:1').submit(commandOf({ kind: 'join' }));
      await expect(asked()).rejects.toMatchObject({ code: 'unavailable', sent: false });
    });
  });
}
