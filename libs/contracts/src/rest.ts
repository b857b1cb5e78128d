import { z } from 'zod';

import { Content, Emoji } from './content.js';
import { ConversationName, ConversationTopic, ConversationType, History, Role, Visibility } from './entries.js';
import { LIMITS, SendBody, SYNC_LIMIT_MAX, SyncBody } from './events.js';
import { ConversationId, DeviceId, EntrySeq, Seq, UserId } from './ids.js';
import {
  ApiKey,
  Assignment,
  Conversation,
  DevicePlatform,
  Member,
  Message,
  ReadState,
  Receipts,
  Scope,
  SyncPage,
  SyncResult,
  Tokens,
  User,
} from './views.js';

/**
 * One REST operation of the public door. The gateway binds a handler to each name of `ROUTES`, and the OpenAPI
 * document is generated from the same table, so that neither can lack what the other has.
 */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With `{name}` placeholders, as OpenAPI writes them. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  /** `none`: open to everyone; otherwise a bearer token, and for API keys this scope. */
  readonly auth: 'none' | Scope | 'self';
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Success statuses and their bodies; `null` is an empty body. */
  readonly responses: Readonly<Record<number, z.ZodType | null>>;
}

/** Numbers in a query string arrive as text. */
const queryInt = <T extends z.ZodType<unknown, number>>(schema: T) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'not a number')
    .transform(Number)
    .pipe(schema);
const pageLimit = queryInt(z.int().min(1).max(LIMITS.pageMax)).optional();
const cursor = z.string().min(1).max(512).optional();
const seqParam = queryInt(EntrySeq);

const conversationParams = z.strictObject({ conversationId: ConversationId });
const memberParams = z.strictObject({ conversationId: ConversationId, userId: UserId });
const messageParams = z.strictObject({ conversationId: ConversationId, seq: seqParam });
const reactionParams = z.strictObject({ conversationId: ConversationId, seq: seqParam, emoji: Emoji });
const userParams = z.strictObject({ userId: UserId });

export const Username = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[\p{L}\p{N}_.\-[\]\\`^{|}]+$/u, 'only letters, digits and _ . - [ ] \\ ` ^ { | }');
export const Password = z.string().min(8).max(256);
export const DisplayName = z.string().trim().min(1).max(120);

const page = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), nextCursor: z.string().nullable() });
const MessagePage = z.object({ items: z.array(Message), hasMore: z.boolean() });
const SeqOfEntry = z.object({ seq: EntrySeq });

const c = '/v1/conversations/{conversationId}';

export const ROUTES = {
  register: {
    method: 'POST',
    path: '/v1/auth/register',
    tag: 'Accounts',
    summary: 'Create an account and sign in',
    auth: 'none',
    body: z.strictObject({ username: Username, password: Password, displayName: DisplayName.optional() }),
    responses: { 201: Tokens },
  },
  login: {
    method: 'POST',
    path: '/v1/auth/login',
    tag: 'Accounts',
    summary: 'Sign in',
    auth: 'none',
    body: z.strictObject({ username: z.string().min(1).max(64), password: z.string().min(1).max(256) }),
    responses: { 200: Tokens },
  },
  refresh: {
    method: 'POST',
    path: '/v1/auth/refresh',
    tag: 'Accounts',
    summary: 'Exchange a refresh token; one used twice ends its whole family',
    auth: 'none',
    body: z.strictObject({ refreshToken: z.string().min(1).max(512) }),
    responses: { 200: Tokens },
  },
  logout: {
    method: 'POST',
    path: '/v1/auth/logout',
    tag: 'Accounts',
    summary: "End this sign-in's tokens, sockets, event streams and polls",
    auth: 'self',
    responses: { 204: null },
  },
  jwks: {
    method: 'GET',
    path: '/.well-known/jwks.json',
    tag: 'Accounts',
    summary: 'Public keys of the access tokens (RFC 7517)',
    auth: 'none',
    responses: { 200: z.object({ keys: z.array(z.record(z.string(), z.unknown())) }) },
  },

  me: {
    method: 'GET',
    path: '/v1/me',
    tag: 'Users',
    summary: 'The caller',
    auth: 'users:read',
    responses: { 200: User },
  },
  updateMe: {
    method: 'PATCH',
    path: '/v1/me',
    tag: 'Users',
    summary: "Change the caller's profile",
    auth: 'users:write',
    body: z.strictObject({
      displayName: DisplayName.optional(),
      avatarUrl: z
        .url({ protocol: /^https?$/ })
        .max(2_048)
        .nullable()
        .optional(),
    }),
    responses: { 200: User },
  },
  user: {
    method: 'GET',
    path: '/v1/users/{userId}',
    tag: 'Users',
    summary: 'One user',
    auth: 'users:read',
    params: userParams,
    responses: { 200: User },
  },
  users: {
    method: 'GET',
    path: '/v1/users',
    tag: 'Users',
    summary: 'Find users by the beginning of username or display name',
    auth: 'users:read',
    query: z.strictObject({ query: z.string().max(64).optional(), limit: pageLimit, cursor }),
    responses: { 200: page(User) },
  },
  ban: {
    method: 'PUT',
    path: '/v1/users/{userId}/ban',
    tag: 'Administration',
    summary: 'Ban a user: every session ends within 5 s',
    auth: 'admin',
    params: userParams,
    responses: { 204: null },
  },
  unban: {
    method: 'DELETE',
    path: '/v1/users/{userId}/ban',
    tag: 'Administration',
    summary: 'Lift a ban',
    auth: 'admin',
    params: userParams,
    responses: { 204: null },
  },
  createApiKey: {
    method: 'POST',
    path: '/v1/api-keys',
    tag: 'Administration',
    summary: 'Create a server-side key with a bot user of its own; the key is shown once',
    auth: 'admin',
    body: z.strictObject({ name: DisplayName, scopes: z.array(Scope).min(1).max(16) }),
    responses: { 201: ApiKey.extend({ key: z.string() }) },
  },
  apiKeys: {
    method: 'GET',
    path: '/v1/api-keys',
    tag: 'Administration',
    summary: 'The keys, without their secrets',
    auth: 'admin',
    responses: { 200: z.object({ items: z.array(ApiKey) }) },
  },
  revokeApiKey: {
    method: 'DELETE',
    path: '/v1/api-keys/{keyId}',
    tag: 'Administration',
    summary: 'Revoke a key',
    auth: 'admin',
    params: z.strictObject({ keyId: z.string().min(1).max(64) }),
    responses: { 204: null },
  },

  createConversation: {
    method: 'POST',
    path: '/v1/conversations',
    tag: 'Conversations',
    summary: 'Create a conversation; a direct one with the same person is returned as it exists (200)',
    auth: 'conversations:write',
    body: z.strictObject({
      type: ConversationType,
      memberIds: z.array(UserId).max(1_000).default([]),
      name: ConversationName.optional(),
      topic: ConversationTopic.optional(),
      visibility: Visibility.optional(),
      history: History.optional(),
    }),
    responses: { 200: Conversation, 201: Conversation },
  },
  conversations: {
    method: 'GET',
    path: '/v1/conversations',
    tag: 'Conversations',
    summary: "The caller's conversations, last changed first",
    auth: 'conversations:read',
    query: z.strictObject({ limit: pageLimit, cursor }),
    responses: { 200: page(Conversation) },
  },
  publicChannels: {
    method: 'GET',
    path: '/v1/channels',
    tag: 'Conversations',
    summary: 'Public channels that one may join, by name',
    auth: 'conversations:read',
    query: z.strictObject({ query: z.string().max(120).optional(), limit: pageLimit, cursor }),
    responses: {
      200: page(
        z.object({
          id: ConversationId,
          name: z.string().nullable(),
          topic: z.string().nullable(),
          memberCount: z.int(),
        }),
      ),
    },
  },
  conversation: {
    method: 'GET',
    path: c,
    tag: 'Conversations',
    summary: 'One conversation',
    auth: 'conversations:read',
    params: conversationParams,
    responses: { 200: Conversation },
  },
  updateConversation: {
    method: 'PATCH',
    path: c,
    tag: 'Conversations',
    summary: 'Change name, topic or settings',
    auth: 'conversations:write',
    params: conversationParams,
    body: z
      .strictObject({
        name: ConversationName.nullable().optional(),
        topic: ConversationTopic.nullable().optional(),
        visibility: Visibility.optional(),
        history: History.optional(),
      })
      .refine((changes) => Object.keys(changes).length > 0, 'nothing to change'),
    responses: { 200: Conversation },
  },
  deleteConversation: {
    method: 'DELETE',
    path: c,
    tag: 'Conversations',
    summary: 'End a conversation for everybody',
    auth: 'conversations:write',
    params: conversationParams,
    responses: { 204: null },
  },
  members: {
    method: 'GET',
    path: `${c}/members`,
    tag: 'Members',
    summary: 'Members, in order of joining',
    auth: 'conversations:read',
    params: conversationParams,
    query: z.strictObject({ limit: queryInt(z.int().min(1).max(1_000)).optional(), cursor }),
    responses: { 200: page(Member) },
  },
  addMembers: {
    method: 'POST',
    path: `${c}/members`,
    tag: 'Members',
    summary: 'Add up to 1,000 members; `seq` of the entry, or the head if all were members',
    auth: 'conversations:write',
    params: conversationParams,
    body: z.strictObject({ userIds: z.array(UserId).min(1).max(1_000) }),
    responses: { 200: z.object({ seq: Seq, added: z.array(UserId) }) },
  },
  updateMember: {
    method: 'PATCH',
    path: `${c}/members/{userId}`,
    tag: 'Members',
    summary: "Change a member's role",
    auth: 'conversations:write',
    params: memberParams,
    body: z.strictObject({ role: Role }),
    responses: { 200: Member },
  },
  removeMember: {
    method: 'DELETE',
    path: `${c}/members/{userId}`,
    tag: 'Members',
    summary: 'Remove a member',
    auth: 'conversations:write',
    params: memberParams,
    responses: { 204: null },
  },
  join: {
    method: 'POST',
    path: `${c}/join`,
    tag: 'Members',
    summary: 'Join a public channel',
    auth: 'conversations:write',
    params: conversationParams,
    responses: { 200: Conversation },
  },
  leave: {
    method: 'POST',
    path: `${c}/leave`,
    tag: 'Members',
    summary: 'Leave',
    auth: 'conversations:write',
    params: conversationParams,
    responses: { 204: null },
  },

  send: {
    method: 'POST',
    path: `${c}/messages`,
    tag: 'Messages',
    summary: 'Send a message; 200 and the first message when the client id was seen before',
    auth: 'messages:write',
    params: conversationParams,
    body: SendBody,
    responses: { 200: Message, 201: Message },
  },
  messages: {
    method: 'GET',
    path: `${c}/messages`,
    tag: 'Messages',
    summary: 'Messages as they now read, in order of seq; without a position the latest',
    auth: 'messages:read',
    params: conversationParams,
    query: z.strictObject({
      before: queryInt(EntrySeq).optional(),
      after: queryInt(Seq).optional(),
      around: queryInt(EntrySeq).optional(),
      limit: pageLimit,
    }),
    responses: { 200: MessagePage },
  },
  message: {
    method: 'GET',
    path: `${c}/messages/{seq}`,
    tag: 'Messages',
    summary: 'One message as it now reads',
    auth: 'messages:read',
    params: messageParams,
    responses: { 200: Message },
  },
  editMessage: {
    method: 'PATCH',
    path: `${c}/messages/{seq}`,
    tag: 'Messages',
    summary: "Replace one's own message's content",
    auth: 'messages:write',
    params: messageParams,
    body: z.strictObject({ content: Content }),
    responses: { 200: Message },
  },
  deleteMessage: {
    method: 'DELETE',
    path: `${c}/messages/{seq}`,
    tag: 'Messages',
    summary: 'Delete a message: its content leaves the store',
    auth: 'messages:write',
    params: messageParams,
    responses: { 200: Message },
  },
  addReaction: {
    method: 'PUT',
    path: `${c}/messages/{seq}/reactions/{emoji}`,
    tag: 'Messages',
    summary: 'Add a reaction; `seq` of the entry that says so',
    auth: 'messages:write',
    params: reactionParams,
    responses: { 200: SeqOfEntry },
  },
  removeReaction: {
    method: 'DELETE',
    path: `${c}/messages/{seq}/reactions/{emoji}`,
    tag: 'Messages',
    summary: "Take one's reaction back",
    auth: 'messages:write',
    params: reactionParams,
    responses: { 200: SeqOfEntry },
  },
  pin: {
    method: 'PUT',
    path: `${c}/messages/{seq}/pin`,
    tag: 'Messages',
    summary: 'Pin a message',
    auth: 'messages:write',
    params: messageParams,
    responses: { 200: SeqOfEntry },
  },
  unpin: {
    method: 'DELETE',
    path: `${c}/messages/{seq}/pin`,
    tag: 'Messages',
    summary: 'Unpin a message',
    auth: 'messages:write',
    params: messageParams,
    responses: { 200: SeqOfEntry },
  },
  pins: {
    method: 'GET',
    path: `${c}/pins`,
    tag: 'Messages',
    summary: 'Pinned messages, last pinned first',
    auth: 'messages:read',
    params: conversationParams,
    responses: { 200: z.object({ items: z.array(Message) }) },
  },
  replies: {
    method: 'GET',
    path: `${c}/messages/{seq}/replies`,
    tag: 'Messages',
    summary: 'The replies of a thread, in order of seq',
    auth: 'messages:read',
    params: messageParams,
    query: z.strictObject({ after: queryInt(Seq).optional(), limit: pageLimit }),
    responses: { 200: MessagePage },
  },
  receipts: {
    method: 'GET',
    path: `${c}/messages/{seq}/receipts`,
    tag: 'Reading',
    summary: 'Who has received and read a message',
    auth: 'messages:read',
    params: messageParams,
    query: z.strictObject({ cursor, limit: pageLimit }),
    responses: { 200: Receipts },
  },
  markRead: {
    method: 'PUT',
    path: `${c}/read`,
    tag: 'Reading',
    summary: 'Everything up to here is read; only moves forward',
    auth: 'messages:read',
    params: conversationParams,
    body: z.strictObject({ seq: Seq }),
    responses: { 200: ReadState },
  },
  markUnread: {
    method: 'POST',
    path: `${c}/unread`,
    tag: 'Reading',
    summary: 'Everything from here on is unread',
    auth: 'messages:read',
    params: conversationParams,
    body: z.strictObject({ seq: EntrySeq }),
    responses: { 200: ReadState },
  },

  syncConversation: {
    method: 'GET',
    path: '/v1/messages/sync',
    tag: 'Catching up',
    summary: 'Every log entry after a position that the caller may see',
    auth: 'messages:read',
    query: z.strictObject({
      conversationId: ConversationId,
      after: queryInt(Seq).optional(),
      limit: queryInt(z.int().min(1).max(SYNC_LIMIT_MAX)).optional(),
    }),
    responses: { 200: SyncPage },
  },
  sync: {
    method: 'POST',
    path: '/v1/sync',
    tag: 'Catching up',
    summary: 'What changed since these cursors, over all conversations',
    auth: 'messages:read',
    body: SyncBody,
    responses: { 200: SyncResult },
  },
  session: {
    method: 'POST',
    path: '/v1/session',
    tag: 'Sessions',
    summary: 'Assign a chat server; the ticket lives 60 s and is good for one use',
    auth: 'messages:read',
    body: z.strictObject({ deviceId: DeviceId, platform: DevicePlatform.optional() }),
    responses: { 200: Assignment },
  },
} as const satisfies Record<string, Route>;

export type RouteName = keyof typeof ROUTES;

type Parsed<R, K extends string> = R extends Record<K, infer S extends z.ZodType> ? z.output<S> : undefined;
/** What a handler of a route receives, parsed. */
export interface RouteInput<N extends RouteName> {
  readonly params: Parsed<(typeof ROUTES)[N], 'params'>;
  readonly query: Parsed<(typeof ROUTES)[N], 'query'>;
  readonly body: Parsed<(typeof ROUTES)[N], 'body'>;
}
/** What a handler of a route may answer: a status of the table with its body. */
export type RouteAnswer<N extends RouteName> = {
  [S in keyof (typeof ROUTES)[N]['responses']]: {
    readonly status: S;
    readonly body: (typeof ROUTES)[N]['responses'][S] extends z.ZodType
      ? z.input<(typeof ROUTES)[N]['responses'][S]>
      : null;
  };
}[keyof (typeof ROUTES)[N]['responses']];
