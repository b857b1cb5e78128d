import { z } from 'zod';

import { Content, Mentions } from './content.js';
import { ConversationType, History, LogEntry, Role, Timestamp, Visibility } from './entries.js';
import { ClientId, ConversationId, EntrySeq, Seq, UserId } from './ids.js';

/** What people see of a user. */
export const User = z
  .object({
    id: UserId,
    username: z.string(),
    displayName: z.string(),
    avatarUrl: z.string().optional(),
    bot: z.boolean().optional(),
  })
  .meta({ id: 'User' });
export type User = z.infer<typeof User>;

export const Tokens = z
  .object({ user: User, accessToken: z.string(), refreshToken: z.string(), expiresIn: z.int() })
  .meta({ id: 'Tokens' });
export type Tokens = z.infer<typeof Tokens>;

export const Reaction = z
  .object({
    emoji: z.string(),
    count: z.int(),
    /** The first who reacted, at most 50. */
    userIds: z.array(UserId),
    /** Whether the caller is among all of them. */
    me: z.boolean(),
  })
  .meta({ id: 'Reaction' });
export type Reaction = z.infer<typeof Reaction>;

/** A message as it now reads: the fold of its entry and of everything that changed it since. */
export const Message = z
  .object({
    conversationId: ConversationId,
    seq: EntrySeq,
    id: z.string(),
    senderId: UserId,
    sentAt: Timestamp,
    clientId: ClientId.optional(),
    content: Content.nullable(),
    parentSeq: EntrySeq.optional(),
    mentions: Mentions.optional(),
    editedAt: Timestamp.optional(),
    deletedAt: Timestamp.optional(),
    reactions: z.array(Reaction).optional(),
    pinned: z.object({ by: UserId, at: Timestamp }).optional(),
    replyCount: z.int().optional(),
    lastReplyAt: Timestamp.optional(),
    /** Authors of replies, in order of first reply, at most 50. */
    participants: z.array(UserId).optional(),
  })
  .meta({ id: 'Message' });
export type Message = z.infer<typeof Message>;

export const NotificationLevel = z.enum(['all', 'mentions', 'none']);

export const Conversation = z
  .object({
    id: ConversationId,
    type: ConversationType,
    name: z.string().nullable(),
    topic: z.string().nullable(),
    visibility: Visibility,
    history: History,
    createdBy: UserId,
    createdAt: Timestamp,
    /** Time of the last entry, or of creation. */
    updatedAt: Timestamp,
    memberCount: z.int(),
    /** `seq` of the last entry; 0 when there is none. */
    head: Seq,
    readSeq: Seq,
    unread: z.int(),
    mentions: z.int(),
    lastMessage: Message.nullable(),
    /** The caller's role; absent for a public channel that the caller has not joined. */
    role: Role.optional(),
    /** The other person of a direct conversation. */
    peerId: UserId.optional(),
  })
  .meta({ id: 'Conversation' });
export type Conversation = z.infer<typeof Conversation>;

export const Member = z.object({ user: User, role: Role, joinedAt: Timestamp }).meta({ id: 'Member' });
export type Member = z.infer<typeof Member>;

export const SyncPage = z
  .object({ entries: z.array(LogEntry), cursor: Seq, hasMore: z.boolean(), head: Seq })
  .meta({ id: 'SyncPage' });
export type SyncPage = z.infer<typeof SyncPage>;

export const SyncResult = z
  .object({
    changed: z.array(SyncPage.extend({ conversationId: ConversationId })),
    added: z.array(Conversation),
    removed: z.array(ConversationId),
  })
  .meta({ id: 'SyncResult' });
export type SyncResult = z.infer<typeof SyncResult>;

export const ReadState = z.object({ readSeq: Seq, unread: z.int() }).meta({ id: 'ReadState' });
export type ReadState = z.infer<typeof ReadState>;

export const Receipts = z
  .object({
    deliveredCount: z.int(),
    readCount: z.int(),
    items: z.array(z.object({ userId: UserId, deliveredAt: Timestamp.optional(), readAt: Timestamp.optional() })),
    nextCursor: z.string().nullable(),
  })
  .meta({ id: 'Receipts' });
export type Receipts = z.infer<typeof Receipts>;

export const PresenceStatus = z.enum(['online', 'away', 'offline']);
export type PresenceStatus = z.infer<typeof PresenceStatus>;

export const Presence = z
  .object({ userId: UserId, status: PresenceStatus, lastSeenAt: Timestamp.nullable() })
  .meta({ id: 'Presence' });
export type Presence = z.infer<typeof Presence>;

/** Where and how to open a session: Socket.IO to `url` with `path` and `auth: {ticket}`. */
export const Assignment = z
  .object({ url: z.string(), path: z.string(), ticket: z.string(), expiresAt: Timestamp, serverId: z.string() })
  .meta({ id: 'Assignment' });
export type Assignment = z.infer<typeof Assignment>;

export const Scope = z.enum([
  'users:read',
  'users:write',
  'conversations:read',
  'conversations:write',
  'messages:read',
  'messages:write',
  'admin',
]);
export type Scope = z.infer<typeof Scope>;

export const ApiKey = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(Scope),
    userId: UserId,
    createdAt: Timestamp,
    lastUsedAt: Timestamp.nullable(),
  })
  .meta({ id: 'ApiKey' });
export type ApiKey = z.infer<typeof ApiKey>;

export const DevicePlatform = z.string().min(1).max(64);
