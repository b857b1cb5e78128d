import type { ConversationType, History, LogEntry } from './entries.js';
import type { ConversationId, DeviceId, InstanceId, Seq, SessionId, UserId, WorkspaceId } from './ids.js';
import type { Conversation, Presence } from './views.js';

/**
 * An entry as the log keeps it and as services hand it on: the public entry, its JSON encoded once, and the
 * positions that make counting and visibility checks cheap.
 */
export interface StoredEntry {
  readonly entry: LogEntry;
  /** `JSON.stringify(entry)`; what goes to clients byte for byte. */
  readonly json: string;
  /** Countable messages up to and including this entry. */
  readonly ordinal: number;
  /** `seq` of the last membership entry up to and including this one; 0 when there is none. */
  readonly memberSeq: Seq;
}

/** Value on topic `messages` (key: conversation id): entries of one conversation in order of `seq`, without a hole. */
export interface MessagesRecord {
  readonly workspaceId: WorkspaceId;
  readonly conversationId: ConversationId;
  readonly type: ConversationType;
  readonly history: History;
  readonly entries: readonly PublishedEntry[];
  /** Milliseconds since the epoch when it was handed to the bus; said only where something in it is traced. */
  readonly publishedAtMs?: number;
}

export interface PublishedEntry extends StoredEntry {
  /** The session whose acknowledgement stands in for the event; absent when nobody is left out. */
  readonly originSessionId?: SessionId;
  /** `memberSeq` before this entry. */
  readonly prevMemberSeq: Seq;
  /** W3C trace context of the request, when it is traced. */
  readonly traceparent?: string;
  /** Milliseconds since the epoch when the chat server or gateway received the request; 0 when republished. */
  readonly receivedAtMs: number;
}

/** Value on topic `directory` (key: user or conversation id). */
export type DirectoryRecord =
  | {
      readonly kind: 'conversation.created';
      readonly workspaceId: WorkspaceId;
      readonly conversation: Omit<Conversation, 'readSeq' | 'unread' | 'mentions' | 'lastMessage' | 'role' | 'peerId'>;
      readonly members: readonly { readonly userId: UserId; readonly role: NonNullable<Conversation['role']> }[];
    }
  | {
      /** Sign-ins that ended: one family, or with `familyId: null` all of the user's. */
      readonly kind: 'session.ended';
      readonly workspaceId: WorkspaceId;
      readonly userId: UserId;
      readonly familyId: string | null;
      readonly code: 'unauthenticated' | 'forbidden';
    };

/** Value on topic `presence` (key: user id). */
export interface PresenceRecord extends Presence {
  readonly workspaceId: WorkspaceId;
}

/** Value on topic `inbox` (key: user id): this person had no live session for these entries. */
export interface InboxRecord {
  readonly workspaceId: WorkspaceId;
  readonly userId: UserId;
  readonly conversationId: ConversationId;
  readonly seq: Seq;
  readonly senderId: UserId;
  readonly reason: 'direct' | 'group' | 'mention';
  readonly sentAt: string;
}

export interface TopicValues {
  readonly messages: MessagesRecord;
  readonly directory: DirectoryRecord;
  readonly presence: PresenceRecord;
  readonly inbox: InboxRecord;
}
export type Topic = keyof TopicValues;
export const TOPICS = ['messages', 'directory', 'presence', 'inbox'] as const satisfies readonly Topic[];

/** A live session as the registry keeps it. */
export interface SessionRecord {
  readonly workspaceId: WorkspaceId;
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly sessionId: SessionId;
  readonly serverId: InstanceId;
  readonly epoch: number;
}
