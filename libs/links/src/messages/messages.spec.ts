import { describe, expect, it } from '@jest/globals';
import {
  type ChannelMembership,
  type Command,
  type CommandBody,
  type CommandOutcome,
  type Content,
  type ConversationFacts,
  type ConversationId,
  type DirectoryLink,
  ERRORS,
  type ErrorCode,
  type Frame,
  type LogEntry,
  type MembershipInterval,
  type MessagesRecord,
  type Presence,
  type Refusal,
  type RoomPush,
  type SettingsChanges,
  type UserId,
  type UserPush,
} from '@parley/contracts';
import fc from 'fast-check';

import * as chat from '../generated/parley/v1/chat_server.js';
import * as common from '../generated/parley/v1/common.js';
import * as directory from '../generated/parley/v1/directory.js';
import * as presenceMessages from '../generated/parley/v1/presence.js';
import * as routing from '../generated/parley/v1/routing.js';
import * as topics from '../generated/parley/v1/topics.js';
import { commandFromMessage, commandToMessage } from './commands.js';
import {
  allMembershipsFromMessage,
  allMembershipsToMessage,
  factsFromMessage,
  factsToMessage,
  membershipsFromMessage,
  membershipsToMessage,
} from './directory.js';
import { outcomeFromMessage, outcomeToMessage } from './outcomes.js';
import { beatFromMessage, beatToMessage, presenceFromMessage, presenceToMessage } from './presence.js';
import { pushFromMessage, pushToMessage, roomPushFromMessage, roomPushToMessage } from './pushes.js';
import { recordFromMessage, recordToMessage } from './records.js';
import { refusalFromMessage, refusalToMessage } from './refusals.js';

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).map((text) => text as never);
const ids = fc.array(id, { maxLength: 5 });
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const position = fc.maxSafeNat().map((value) => value as never);
const timeMs = fc.maxSafeNat();
const optional = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(values, { nil: undefined });
const role = fc.constantFrom('owner', 'admin', 'member', 'guest');
const conversationType = fc.constantFrom('direct', 'group', 'channel');
const history = fc.constantFrom('joined', 'all');
const visibility = fc.constantFrom('private', 'public');
const op = fc.constantFrom('add', 'remove');

/** Properties that are undefined are left out, as they arrive. */
function record<T>(fields: { readonly [P in keyof T]-?: fc.Arbitrary<T[P] | undefined> }): fc.Arbitrary<T> {
  return fc
    .record(fields as Record<string, fc.Arbitrary<unknown>>)
    .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as T);
}

/** As JSON has it: it knows no -0. */
const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const content = fc.oneof(
  fc.record({ type: fc.constant('text'), text }),
  fc.record({ type: fc.constant('poll'), question: text, options: json }),
) as fc.Arbitrary<Content>;
const settings = record<SettingsChanges>({
  name: optional(fc.option(text)),
  topic: optional(fc.option(text)),
  visibility: optional(visibility),
  history: optional(history),
  deleted: optional(fc.constant(true as const)),
});
const kind = <K extends string>(name: K): fc.Arbitrary<K> => fc.constant(name);
const body: fc.Arbitrary<CommandBody> = fc.oneof(
  record<Extract<CommandBody, { kind: 'message' }>>({
    kind: kind('message'),
    clientId: text,
    content,
    parentSeq: optional(position),
    mentions: optional(ids),
  }),
  fc.record({ kind: kind('edit'), targetSeq: position, content }),
  fc.record({ kind: kind('delete'), targetSeq: position }),
  fc.record({ kind: kind('reaction'), targetSeq: position, emoji: text, op }),
  fc.record({ kind: kind('pin'), targetSeq: position, op }),
  record<Extract<CommandBody, { kind: 'member'; op: 'added' }>>({
    kind: kind('member'),
    op: kind('added'),
    userIds: ids,
    role: optional(role),
  }),
  fc.record({ kind: kind('member'), op: kind('removed'), userIds: ids }),
  fc.record({ kind: kind('member'), op: kind('role'), userIds: ids, role }),
  fc.record({ kind: kind('join') }),
  fc.record({ kind: kind('leave') }),
  fc.record({ kind: kind('settings'), changes: settings }),
);
const command = record<Command>({
  actor: fc.record({ workspaceId: id, userId: id }),
  conversationId: id,
  context: record<Command['context']>({ requestId: text, traceparent: optional(text), receivedAtMs: timeMs }),
  originSessionId: optional(id),
  body,
});
const refusal = record<Refusal>({
  code: fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])),
  message: text,
  retryAfterMs: optional(fc.nat()),
  issues: optional(fc.array(fc.record({ path: text, message: text }), { minLength: 1, maxLength: 3 })),
});
const entry = fc.record({
  conversationId: id,
  seq: position,
  id: text,
  senderId: id,
  sentAt: fc.constant('2026-01-01T00:00:00.000Z'),
  kind: kind('message'),
  clientId: text,
  content,
}) as unknown as fc.Arbitrary<LogEntry>;
const outcome: fc.Arbitrary<CommandOutcome> = fc.oneof(
  fc.record({ kind: kind('accepted'), entry }),
  fc.record({ kind: kind('duplicate'), entry }),
  fc.record({ kind: kind('unchanged'), seq: position }),
  fc.record({ kind: kind('refused'), refusal }),
);
const published = record<MessagesRecord['entries'][number]>({
  entry,
  json: fc.constant(''),
  ordinal: fc.maxSafeNat(),
  memberSeq: position,
  originSessionId: optional(id),
  prevMemberSeq: position,
  traceparent: optional(text),
  receivedAtMs: timeMs,
}).map((made) => ({ ...made, json: JSON.stringify(made.entry) }));
const messagesRecord = fc.record({
  workspaceId: id,
  conversationId: id,
  type: conversationType,
  history,
  entries: fc.array(published, { maxLength: 4 }),
}) as fc.Arbitrary<MessagesRecord>;
const frames = fc.array(
  fc.record({ event: kind('message.new'), data: fc.jsonValue().map((value) => JSON.stringify(value)) }),
  { maxLength: 3 },
) as fc.Arbitrary<Frame[]>;
const channel: fc.Arbitrary<ChannelMembership> = fc.record({
  conversationId: id,
  joinedSeq: position,
  appliedSeq: position,
});
const userPush = record<UserPush>({
  workspaceId: id,
  userIds: ids,
  frames,
  exceptSessionId: optional(id),
  room: optional(
    fc.oneof(
      fc.record({ op: kind('join'), channel }),
      fc.record({ op: kind('leave'), conversationId: id, asOf: position }),
    ),
  ),
  receivedAtMs: timeMs,
  traceparent: optional(text),
});
const some = fc.array(id, { minLength: 1, maxLength: 4 });
const roomPush = record<RoomPush>({
  workspaceId: id,
  conversationId: id,
  history,
  frames,
  seq: position,
  showsSeq: position,
  memberSeq: position,
  prevMemberSeq: position,
  removes: optional(some),
  exceptUserIds: optional(some),
  exceptSessionId: optional(id),
  receivedAtMs: timeMs,
  traceparent: optional(text),
});
const facts: fc.Arbitrary<ConversationFacts> = fc.record({
  workspaceId: id,
  id,
  type: conversationType,
  name: fc.option(text),
  topic: fc.option(text),
  visibility,
  history,
  createdBy: id,
  createdAt: text,
  deletedAt: fc.option(text),
  memberCount: fc.nat(),
  appliedSeq: position,
});
const interval: fc.Arbitrary<MembershipInterval> = fc.record({
  role,
  joinedSeq: position,
  leftSeq: fc.option(position),
});
const memberships = fc.record({
  appliedSeq: position,
  members: fc
    .array(fc.tuple(id, fc.array(interval, { maxLength: 3 })), { maxLength: 4 })
    .map((pairs) => new Map<UserId, MembershipInterval[]>(pairs)),
}) as fc.Arbitrary<Awaited<ReturnType<DirectoryLink['memberships']>>>;
const allMemberships = fc.record({
  appliedSeq: position,
  members: fc.array(
    fc.tuple(id, interval).map(([userId, rest]) => ({ userId: userId as UserId, ...rest })),
    { maxLength: 4 },
  ),
}) as fc.Arbitrary<Awaited<ReturnType<DirectoryLink['allMemberships']>>>;
const presence = fc.record({
  userId: id,
  status: fc.constantFrom('online', 'away', 'offline'),
  lastSeenAt: fc.option(text),
}) as fc.Arbitrary<Presence>;

interface Codec<M> {
  encode(message: M): { finish(): Uint8Array };
  decode(bytes: Uint8Array): M;
}

/** Through the very bytes, and back. */
function same<T, M>(values: fc.Arbitrary<T>, codec: Codec<M>, to: (value: T) => M, from: (message: M) => T): void {
  fc.assert(
    fc.property(values, (value) => {
      expect(from(codec.decode(codec.encode(to(value)).finish()))).toStrictEqual(structuredClone(value));
    }),
    { numRuns: 200 },
  );
}

describe('what crosses a link', () => {
  it('arrives as it was sent: commands', () => same(command, routing.Command, commandToMessage, commandFromMessage));
  it('arrives as it was sent: outcomes', () =>
    same(outcome, routing.CommandOutcome, outcomeToMessage, outcomeFromMessage));
  it('arrives as it was sent: refusals', () => same(refusal, common.Refusal, refusalToMessage, refusalFromMessage));
  it('arrives as it was sent: records', () =>
    same(messagesRecord, topics.MessagesRecord, recordToMessage, recordFromMessage));
  it('arrives as it was sent: pushes to users', () => same(userPush, chat.UserPush, pushToMessage, pushFromMessage));
  it('arrives as it was sent: pushes to rooms', () =>
    same(roomPush, chat.RoomPush, roomPushToMessage, roomPushFromMessage));
  it('arrives as it was sent: facts', () => same(facts, directory.ConversationFacts, factsToMessage, factsFromMessage));
  it('arrives as it was sent: memberships', () => {
    same(memberships, directory.MembershipsResponse, membershipsToMessage, membershipsFromMessage);
    same(allMemberships, directory.AllMembershipsResponse, allMembershipsToMessage, allMembershipsFromMessage);
  });
  it('arrives as it was sent: presence', () => {
    same(presence, common.Presence, presenceToMessage, presenceFromMessage);
    const beat = { workspaceId: 'w' as never, userId: 'u' as never, status: 'away' as const };
    expect(
      beatFromMessage(
        presenceMessages.PresenceBeat.decode(presenceMessages.PresenceBeat.encode(beatToMessage(beat)).finish()),
      ),
    ).toEqual(beat);
  });

  it('is refused where a number is larger than any of ours', () => {
    const bytes = routing.Unchanged.encode({ seq: Number.MAX_SAFE_INTEGER }).finish();
    bytes[1] = 0xff;
    const beyond = Uint8Array.from([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    expect(routing.Unchanged.decode(bytes).seq).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => routing.Unchanged.decode(beyond)).toThrow('MAX_SAFE_INTEGER');
  });

  it('is refused where it lacks what it must have, or has a value that stands for nothing', () => {
    const sent = commandToMessage({
      actor: { workspaceId: 'w' as never, userId: 'u' as never },
      conversationId: 'c' as ConversationId,
      context: { requestId: 'r', receivedAtMs: 0 },
      body: { kind: 'join' },
    });
    for (const field of ['actor', 'context', 'body'] as const) {
      expect(() => commandFromMessage({ ...sent, [field]: undefined })).toThrow(`lacks its ${field}`);
    }
    expect(() => presenceFromMessage({ userId: 'u', status: 9 as never })).toThrow('stands for nothing');
    expect(() => beatFromMessage({ workspaceId: 'w', userId: 'u', status: 3 })).toThrow('nobody beats');
  });
});
