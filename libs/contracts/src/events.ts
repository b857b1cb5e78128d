import { z } from 'zod';

import { Content, Emoji, Mentions } from './content.js';
import {
  DeleteEntry,
  EditEntry,
  type LogEntry,
  MemberEntry,
  MessageEntry,
  PinEntry,
  ReactionEntry,
  SettingsEntry,
  Timestamp,
} from './entries.js';
import { ClientId, ConversationId, DeviceId, EntrySeq, Seq, SessionId, UserId } from './ids.js';
import { Assignment, Conversation, Presence, SyncResult } from './views.js';

/** Cursors of a sync: at most this many conversations in one call. */
export const SYNC_CURSORS_MAX = 5_000;
export const SYNC_LIMIT_DEFAULT = 200;
export const SYNC_LIMIT_MAX = 1_000;
/** Entries over all conversations of one `POST /v1/sync`. */
export const SYNC_TOTAL_MAX = 10_000;
export const PRESENCE_SUBSCRIBE_MAX = 1_000;

export const SendBody = z
  .strictObject({
    clientId: ClientId,
    content: Content,
    parentSeq: EntrySeq.optional(),
    mentions: Mentions.optional(),
  })
  .meta({ id: 'SendBody' });
export type SendBody = z.infer<typeof SendBody>;

const address = { conversationId: ConversationId, seq: EntrySeq };

const Cursors = z
  .record(ConversationId, Seq)
  .refine((cursors) => Object.keys(cursors).length <= SYNC_CURSORS_MAX, `more than ${SYNC_CURSORS_MAX} cursors`);

export const SyncBody = z
  .strictObject({ cursors: Cursors, limit: z.int().min(1).max(SYNC_LIMIT_MAX).optional() })
  .meta({ id: 'SyncBody' });
export type SyncBody = z.infer<typeof SyncBody>;

/** Client → server: request schema and what its acknowledgement carries beside `ok: true`. */
export const CLIENT_EVENTS = {
  'message.send': {
    summary: 'Send a message; acknowledged once it is durable',
    request: SendBody.extend({ conversationId: ConversationId }),
    acknowledgement: z.object({
      message: z.object({
        id: z.string(),
        seq: EntrySeq,
        conversationId: ConversationId,
        clientId: ClientId,
        senderId: UserId,
        sentAt: Timestamp,
      }),
      duplicate: z.literal(true).optional(),
    }),
  },
  'message.edit': {
    summary: "Replace one's own message's content",
    request: z.strictObject({ ...address, content: Content }),
    acknowledgement: z.object({ seq: EntrySeq }),
  },
  'message.delete': {
    summary: 'Delete a message: its content leaves the store',
    request: z.strictObject(address),
    acknowledgement: z.object({ seq: EntrySeq }),
  },
  'reaction.add': {
    summary: 'Add a reaction',
    request: z.strictObject({ ...address, emoji: Emoji }),
    acknowledgement: z.object({ seq: EntrySeq }),
  },
  'reaction.remove': {
    summary: "Take one's reaction back",
    request: z.strictObject({ ...address, emoji: Emoji }),
    acknowledgement: z.object({ seq: EntrySeq }),
  },
  'read.mark': {
    summary: 'Everything up to here is read',
    request: z.strictObject({ conversationId: ConversationId, seq: Seq }),
    acknowledgement: z.object({ readSeq: Seq, unread: z.int() }),
  },
  'delivered.mark': {
    summary: 'Everything up to here has reached this device',
    request: z.strictObject({ conversationId: ConversationId, seq: Seq }),
    acknowledgement: z.object({ readSeq: Seq, unread: z.int() }),
  },
  'typing.start': {
    summary: 'Someone is typing; lossy',
    request: z.strictObject({ conversationId: ConversationId }),
    acknowledgement: z.object({}),
  },
  'typing.stop': {
    summary: 'Someone stopped typing; lossy',
    request: z.strictObject({ conversationId: ConversationId }),
    acknowledgement: z.object({}),
  },
  'presence.subscribe': {
    summary: 'Presence of people with whom one shares a conversation, now and on change',
    request: z.strictObject({ userIds: z.array(UserId).max(PRESENCE_SUBSCRIBE_MAX) }),
    acknowledgement: z.object({ presences: z.array(Presence) }),
  },
  'presence.unsubscribe': {
    summary: 'No more changes of these people',
    request: z.strictObject({ userIds: z.array(UserId).max(PRESENCE_SUBSCRIBE_MAX) }),
    acknowledgement: z.object({ presences: z.array(Presence) }),
  },
  sync: {
    summary: 'What changed since these cursors, as `POST /v1/sync`',
    request: SyncBody,
    acknowledgement: SyncResult,
  },
} as const satisfies Record<string, { summary: string; request: z.ZodType; acknowledgement: z.ZodType }>;
export type ClientEvent = keyof typeof CLIENT_EVENTS;
export type ClientRequest<E extends ClientEvent> = z.infer<(typeof CLIENT_EVENTS)[E]['request']>;
export type ClientAck<E extends ClientEvent> = z.infer<(typeof CLIENT_EVENTS)[E]['acknowledgement']>;

const Position = z.object({ conversationId: ConversationId, userId: UserId, seq: Seq });
const Typing = z.object({ conversationId: ConversationId, userId: UserId });

/** Server → client. Log entries carry the entry itself as their payload. */
export const SERVER_EVENTS = {
  'session.ready': {
    summary: 'The first frame of a session',
    payload: z.object({
      userId: UserId,
      deviceId: DeviceId,
      serverId: z.string(),
      sessionId: SessionId,
      limits: z.object({
        frameMaxBytes: z.int(),
        textMaxUnits: z.int(),
        sendsPerSecond: z.number(),
        sendsBurst: z.int(),
      }),
    }),
  },
  'message.new': { summary: 'A message', payload: MessageEntry },
  'message.updated': { summary: 'An edit', payload: EditEntry },
  'message.deleted': { summary: 'A deletion', payload: DeleteEntry },
  'reaction.new': { summary: 'A reaction was added', payload: ReactionEntry },
  'reaction.deleted': { summary: 'A reaction was taken back', payload: ReactionEntry },
  'pin.added': { summary: 'A message was pinned', payload: PinEntry },
  'pin.removed': { summary: 'A message was unpinned', payload: PinEntry },
  'member.added': { summary: 'Members were added', payload: MemberEntry },
  'member.updated': { summary: "Members' role changed", payload: MemberEntry },
  'member.removed': { summary: 'Members were removed or left', payload: MemberEntry },
  'conversation.updated': { summary: 'Name, topic or settings changed', payload: SettingsEntry },
  'conversation.created': { summary: 'A conversation that this user now has', payload: Conversation },
  'conversation.deleted': {
    summary: 'A conversation that this user no longer has; the entry, if one ended it for everybody',
    payload: z.union([SettingsEntry, z.object({ conversationId: ConversationId })]),
  },
  'thread.updated': {
    summary: 'A thread has a new reply; carries no seq',
    payload: z.object({
      conversationId: ConversationId,
      parentSeq: EntrySeq,
      replyCount: z.int(),
      lastReplyAt: Timestamp,
      participants: z.array(UserId),
    }),
  },
  'read.updated': { summary: 'A read position moved', payload: Position },
  'delivered.updated': { summary: 'A delivered position moved', payload: Position },
  'typing.start': { summary: 'Someone is typing', payload: Typing },
  'typing.stop': { summary: 'Someone stopped typing', payload: Typing },
  'presence.changed': { summary: 'Presence of someone subscribed to', payload: Presence },
  'server.draining': {
    summary: 'Reconnect after this time, to the next assignment if one is given',
    payload: z.object({ reconnectAfterMs: z.int(), session: Assignment.optional() }),
  },
  'session.expired': {
    summary: 'The session ended: token expired, logout or ban; the close follows',
    payload: z.object({ code: z.enum(['token_expired', 'unauthenticated', 'forbidden']) }),
  },
  resync: { summary: 'SSE and poll only: the cursor is too old; call `POST /v1/sync`', payload: z.object({}) },
} as const satisfies Record<string, { summary: string; payload: z.ZodType }>;
export type ServerEvent = keyof typeof SERVER_EVENTS;
export type ServerPayload<E extends ServerEvent> = z.infer<(typeof SERVER_EVENTS)[E]['payload']>;

/** Each entry produces exactly one event: this one. */
export function eventOf(entry: LogEntry): ServerEvent {
  switch (entry.kind) {
    case 'message':
      return 'message.new';
    case 'edit':
      return 'message.updated';
    case 'delete':
      return 'message.deleted';
    case 'reaction':
      return entry.op === 'add' ? 'reaction.new' : 'reaction.deleted';
    case 'pin':
      return entry.op === 'add' ? 'pin.added' : 'pin.removed';
    case 'member':
      return entry.op === 'added' ? 'member.added' : entry.op === 'removed' ? 'member.removed' : 'member.updated';
    case 'settings':
      return entry.changes.deleted === true ? 'conversation.deleted' : 'conversation.updated';
  }
}

/**
 * Where a stream is: `${server}~${session}~${event number}`. The server keeps the latest events of each session for a
 * while; a cursor that it does not know, or that is older than what it keeps, is answered with `resync`.
 */
export interface StreamCursor {
  readonly serverId: string;
  readonly sessionId: SessionId;
  readonly after: number;
}

export function parseStreamCursor(text: string): StreamCursor | null {
  const match = /^([A-Za-z0-9_-]{1,64})~([A-Za-z0-9_-]{1,64})~(\d{1,12})$/.exec(text);
  const [, serverId, sessionId, after] = match ?? [];
  if (serverId === undefined || sessionId === undefined || after === undefined) return null;
  return { serverId, sessionId: sessionId as SessionId, after: Number(after) };
}

export const LIMITS = {
  /** A socket frame larger than this is refused. */
  frameMaxBytes: 256 * 1024,
  /** A REST body larger than this is refused with `too_large`. */
  bodyMaxBytes: 512 * 1024,
  pageDefault: 50,
  pageMax: 200,
} as const;
