import type { Content } from './content.js';
import type { ConversationType, History, LogEntry, Role, SettingsChanges, Visibility } from './entries.js';
import type { Refusal } from './errors.js';
import type { ServerEvent, SyncBody } from './events.js';
import type { ConversationId, InstanceId, Seq, SessionId, UserId, WorkspaceId } from './ids.js';
import type { MessagesRecord } from './topics.js';
import type { Presence, PresenceStatus, ReadState, SyncResult } from './views.js';

/**
 * Links: what one service asks of another. In one process they are calls; between processes, gRPC streams carrying
 * the messages of `proto/`. Arguments and results are plain data and are never changed after they were handed over.
 * A link that cannot reach its peer throws `unavailable`.
 */

/** Who asks. `scopes` is null for people, the key's scopes for API keys. */
export interface Actor {
  readonly workspaceId: WorkspaceId;
  readonly userId: UserId;
}

export interface RequestContext {
  readonly requestId: string;
  /** W3C trace context, when the request is traced. */
  readonly traceparent?: string;
  /** Milliseconds since the epoch when the door received it. */
  readonly receivedAtMs: number;
}

export type CommandBody =
  | {
      readonly kind: 'message';
      readonly clientId: string;
      readonly content: Content;
      readonly parentSeq?: number | undefined;
      readonly mentions?: readonly string[] | undefined;
    }
  | { readonly kind: 'edit'; readonly targetSeq: number; readonly content: Content }
  | { readonly kind: 'delete'; readonly targetSeq: number }
  | { readonly kind: 'reaction'; readonly targetSeq: number; readonly emoji: string; readonly op: 'add' | 'remove' }
  | { readonly kind: 'pin'; readonly targetSeq: number; readonly op: 'add' | 'remove' }
  | { readonly kind: 'member'; readonly op: 'added'; readonly userIds: readonly UserId[]; readonly role?: Role }
  | { readonly kind: 'member'; readonly op: 'removed'; readonly userIds: readonly UserId[] }
  | { readonly kind: 'member'; readonly op: 'role'; readonly userIds: readonly UserId[]; readonly role: Role }
  /** Joining a public channel on one's own. */
  | { readonly kind: 'join' }
  | { readonly kind: 'leave' }
  | { readonly kind: 'settings'; readonly changes: SettingsChanges };

/** One thing to be accepted into a conversation's log. */
export interface Command {
  readonly actor: Actor;
  readonly conversationId: ConversationId;
  readonly context: RequestContext;
  /** The socket session that asked, which gets the acknowledgement instead of the event. */
  readonly originSessionId?: SessionId;
  readonly body: CommandBody;
}

export type CommandOutcome =
  /** Durable in the log at `entry.seq`. */
  | { readonly kind: 'accepted'; readonly entry: LogEntry }
  /** A resend: this is the first message that was sent with the client id. */
  | { readonly kind: 'duplicate'; readonly entry: LogEntry }
  /** Nothing to do (already so): the entry that made it so, or the head. */
  | { readonly kind: 'unchanged'; readonly seq: Seq }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export interface RoutingLink {
  /** Resolves after the append is durable. Idempotent for messages (client id); others may be retried on `unavailable`. */
  submit(command: Command): Promise<CommandOutcome>;
}

/** What the other services need to know of a conversation. */
export interface ConversationFacts {
  readonly workspaceId: WorkspaceId;
  readonly id: ConversationId;
  readonly type: ConversationType;
  readonly name: string | null;
  readonly topic: string | null;
  readonly visibility: Visibility;
  readonly history: History;
  readonly createdBy: UserId;
  readonly createdAt: string;
  readonly deletedAt: string | null;
  readonly memberCount: number;
  /** Membership and settings entries up to here are in these facts and in the member rows. */
  readonly appliedSeq: Seq;
}

/** A person's membership over time; `leftSeq` null: a member now. */
export interface MembershipInterval {
  readonly role: Role;
  readonly joinedSeq: Seq;
  readonly leftSeq: Seq | null;
}

export interface MemberRow extends MembershipInterval {
  readonly userId: UserId;
}

/** One of a user's channels, as a chat server needs it to join rooms. */
export interface ChannelMembership {
  readonly conversationId: ConversationId;
  readonly joinedSeq: Seq;
  readonly appliedSeq: Seq;
}

/** Served by the gateway, the directory's owner. */
export interface DirectoryLink {
  conversation(conversationId: ConversationId): Promise<ConversationFacts | null>;
  /**
   * Current and former membership of the named users, with the position up to which the answer holds. The answer is
   * never behind `atLeastSeq`: membership entries in between are read from the log and applied first.
   */
  memberships(
    conversationId: ConversationId,
    userIds: readonly UserId[],
    atLeastSeq: Seq,
  ): Promise<{ readonly appliedSeq: Seq; readonly members: ReadonlyMap<UserId, readonly MembershipInterval[]> }>;
  /** Everyone who is or was a member, for conversations that fan out on write (bounded by their size). */
  allMemberships(
    conversationId: ConversationId,
    atLeastSeq: Seq,
  ): Promise<{ readonly appliedSeq: Seq; readonly members: readonly MemberRow[] }>;
  /** The user's channels, for a session's rooms. */
  channelsOf(actor: Actor): Promise<readonly ChannelMembership[]>;
  /** Those of `userIds` who share a conversation with the actor. */
  acquainted(actor: Actor, userIds: readonly UserId[]): Promise<readonly UserId[]>;
  sync(actor: Actor, body: SyncBody): Promise<SyncResult>;
  /** Moves a position and tells those who may know (`read.updated`, `delivered.updated`). */
  mark(
    actor: Actor,
    mark: { readonly kind: 'read' | 'delivered'; readonly conversationId: ConversationId; readonly seq: Seq },
    originSessionId?: SessionId,
  ): Promise<ReadState>;
  /** The event payload for a user who now has this conversation; null when the user does not. */
  conversationFor(actor: Actor, conversationId: ConversationId): Promise<object | null>;
}

/** A frame for clients: the payload is encoded once, by whoever made it. */
export interface Frame {
  readonly event: ServerEvent;
  /** JSON of the payload. */
  readonly data: string;
}

/** Something a chat server does to its sessions beside delivering a frame. */
export type RoomChange =
  | { readonly op: 'join'; readonly channel: ChannelMembership }
  | { readonly op: 'leave'; readonly conversationId: ConversationId; readonly asOf: Seq };

/** For sessions of these users, wherever they are on this server. */
export interface UserPush {
  readonly workspaceId: WorkspaceId;
  readonly userIds: readonly UserId[];
  readonly frames: readonly Frame[];
  readonly exceptSessionId?: SessionId;
  /** Applied before the frames for `join`, after them for `leave`. */
  readonly room?: RoomChange;
  /** For latency metrics; 0 when unknown. */
  readonly receivedAtMs: number;
  readonly traceparent?: string;
}

/** For the members of a channel who are connected to this server. */
export interface RoomPush {
  readonly workspaceId: WorkspaceId;
  readonly conversationId: ConversationId;
  readonly history: History;
  readonly frames: readonly Frame[];
  /** Position of the entry; sessions that joined later and whose history starts there do not get it. 0: no entry. */
  readonly seq: Seq;
  /** The entry that the frames are or tell of (a thread's parent); who may not see it does not get them. 0: none. */
  readonly showsSeq: Seq;
  /** Membership as of this entry, and before it: a server that has not applied it asks the directory first. */
  readonly memberSeq: Seq;
  readonly prevMemberSeq: Seq;
  /** Whom this entry removes: their sessions leave the room before anything later is delivered. */
  readonly removes?: readonly UserId[];
  /** Users who get the entry by name instead (those it adds or removes), or the one whose event it is (typing). */
  readonly exceptUserIds?: readonly UserId[];
  readonly exceptSessionId?: SessionId;
  readonly receivedAtMs: number;
  readonly traceparent?: string;
}

export interface ChatServerLink {
  /** Delivers to live sessions; answers, in order, whom of each push's users it reached. */
  push(pushes: readonly UserPush[]): Promise<readonly (readonly UserId[])[]>;
  /**
   * What the frame bus would have brought, when it is away: every chat server gets it, and drops what is for rooms that
   * it does not have. In order with the other pushes of one caller.
   */
  pushRooms(pushes: readonly RoomPush[]): Promise<void>;
}

/** Served by delivery, for routing when the bus is away: the way of a message does not depend on it. */
export interface DeliveryLink {
  /**
   * As if these records had been consumed from `messages`: idempotent, by each conversation's next expected `seq`.
   * Resolves when they were pushed.
   */
  deliver(records: readonly MessagesRecord[]): Promise<void>;
  /**
   * Which `seq` this instance expects next of each of these conversations; those that it has not delivered lately are
   * absent. Whoever delivered a conversation last goes on with it in order, also with what the bus still has.
   */
  expects(conversationIds: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, Seq>>;
}

/** The sessions of one chat server, one row a user. */
export interface PresenceBeat {
  readonly workspaceId: WorkspaceId;
  readonly userId: UserId;
  readonly status: Exclude<PresenceStatus, 'offline'>;
}

export interface PresenceLink {
  /** One batch from one chat server: everyone who is connected there, or only those who came since the last. */
  beat(serverId: InstanceId, epoch: number, beats: readonly PresenceBeat[]): Promise<void>;
  get(workspaceId: WorkspaceId, userIds: readonly UserId[]): Promise<readonly Presence[]>;
}
