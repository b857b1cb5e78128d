import type {
  ApiKey,
  ConversationFacts,
  ConversationId,
  ConversationType,
  History,
  LogEntry,
  MemberRow,
  MembershipInterval,
  Role,
  Scope,
  Seq,
  User,
  UserId,
  Visibility,
  WorkspaceId,
} from '@parley/contracts';

export interface UserRecord extends User {
  readonly workspaceId: WorkspaceId;
  /** Administers the workspace: users, bans, API keys. */
  readonly admin: boolean;
  readonly bannedAt: string | null;
  readonly createdAt: string;
}

export interface NewUser {
  readonly workspaceId: WorkspaceId;
  readonly id: UserId;
  readonly username: string;
  readonly displayName: string;
  /** PHC string; null for users who sign in elsewhere, and bots. */
  readonly passwordHash: string | null;
  readonly bot: boolean;
  /** An account at an outside issuer. */
  readonly external?: { readonly issuer: string; readonly subject: string };
}

/** A sign-in: a chain of refresh tokens of which only the latest is good. */
export interface TokenFamily {
  readonly id: string;
  readonly userId: UserId;
  readonly workspaceId: WorkspaceId;
  readonly endedAt: string | null;
}

export type RotateOutcome =
  | { readonly kind: 'rotated'; readonly family: TokenFamily }
  /** The token was used before: the family is now ended. */
  | { readonly kind: 'reused'; readonly family: TokenFamily }
  | { readonly kind: 'expired' }
  | { readonly kind: 'unknown' };

export interface NewConversation {
  readonly workspaceId: WorkspaceId;
  readonly id: ConversationId;
  readonly type: ConversationType;
  readonly name: string | null;
  readonly topic: string | null;
  readonly visibility: Visibility;
  readonly history: History;
  readonly createdBy: UserId;
  readonly createdAt: string;
  /** First members (`joinedSeq` 0), the creator included. For `direct` exactly two. */
  readonly members: readonly { readonly userId: UserId; readonly role: Role }[];
}

export type CreateConversationOutcome =
  | { readonly kind: 'created'; readonly conversation: ConversationFacts }
  /** A direct conversation of the same two people. */
  | { readonly kind: 'existing'; readonly conversation: ConversationFacts };

/** A user's own view of a conversation that they are a member of. */
export interface MembershipView {
  readonly conversation: ConversationFacts;
  readonly role: Role;
  readonly joinedSeq: Seq;
  readonly joinedAt: string;
  readonly readSeq: Seq;
  readonly deliveredSeq: Seq;
  /** The other member of a direct conversation. */
  readonly peerId: UserId | null;
}

export interface MemberView {
  readonly user: User;
  readonly role: Role;
  readonly joinedAt: string;
  readonly joinedSeq: Seq;
}

export interface Position {
  readonly userId: UserId;
  readonly readSeq: Seq;
  readonly readAt: string | null;
  readonly deliveredSeq: Seq;
  readonly deliveredAt: string | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

/**
 * Users, workspaces, conversations, members, positions, keys. Owned by the gateway.
 *
 * Guarantees, for every adapter: each method is one atomic, durable step; reads see every write that had answered
 * (read your writes). A workspace `default` exists. Nothing is found across workspaces where a workspace is named.
 * Methods throw `ParleyError('unavailable')` when the store cannot be reached.
 *
 * Rows of members, name, topic and settings are a projection of the log: `applyEntries` brings them up to date.
 */
export interface Directory {
  // --- users
  /** `conflict` if the username (compared without case) or external account is taken. The first person of a workspace becomes its admin. */
  createUser(user: NewUser, at: string): Promise<{ readonly kind: 'created' | 'conflict'; readonly user: UserRecord }>;
  users(workspaceId: WorkspaceId, ids: readonly UserId[]): Promise<ReadonlyMap<UserId, UserRecord>>;
  userByUsername(
    workspaceId: WorkspaceId,
    username: string,
  ): Promise<{ user: UserRecord; passwordHash: string | null } | null>;
  userByExternal(issuer: string, subject: string): Promise<UserRecord | null>;
  /** By the beginning of username or display name, without case; without a query all, by username. Banned ones left out. */
  findUsers(
    workspaceId: WorkspaceId,
    query: string | null,
    page: { readonly limit: number; readonly cursor: string | null },
  ): Promise<Page<UserRecord>>;
  updateUser(
    userId: UserId,
    change: { readonly displayName?: string; readonly avatarUrl?: string | null },
  ): Promise<UserRecord | null>;
  /** Banning ends all token families of the user in the same step. */
  setBanned(userId: UserId, bannedAt: string | null): Promise<UserRecord | null>;

  // --- sign-ins
  createFamily(
    family: { readonly id: string; readonly userId: UserId; readonly workspaceId: WorkspaceId },
    tokenHash: string,
    at: string,
    expiresAt: string,
  ): Promise<void>;
  /** Exchanges the hash of a refresh token for the next; of two concurrent exchanges of one token the second is a reuse. */
  rotateToken(oldHash: string, newHash: string, at: string, expiresAt: string): Promise<RotateOutcome>;
  endFamily(familyId: string, at: string): Promise<TokenFamily | null>;
  /** Those of the ids that exist and have not ended. */
  liveFamilies(familyIds: readonly string[]): Promise<ReadonlySet<string>>;

  // --- API keys
  createApiKey(key: {
    readonly id: string;
    readonly workspaceId: WorkspaceId;
    readonly name: string;
    readonly scopes: readonly Scope[];
    readonly userId: UserId;
    readonly secretHash: string;
    readonly createdAt: string;
  }): Promise<ApiKey>;
  apiKeyByHash(secretHash: string): Promise<{ readonly key: ApiKey; readonly user: UserRecord } | null>;
  touchApiKey(id: string, at: string): Promise<void>;
  listApiKeys(workspaceId: WorkspaceId): Promise<readonly ApiKey[]>;
  revokeApiKey(workspaceId: WorkspaceId, id: string): Promise<ApiKey | null>;

  /** A secret of the installation (signing key, HMAC key): the stored one, or `create()` stored now. Never overwritten. */
  secret(name: string, create: () => string): Promise<string>;

  // --- conversations
  createConversation(conversation: NewConversation): Promise<CreateConversationOutcome>;
  /** Also deleted ones (`deletedAt`). */
  conversation(id: ConversationId): Promise<ConversationFacts | null>;
  /**
   * Applies `member` and `settings` entries with `seq > appliedSeq`, in order of `seq`; others and those already
   * applied are skipped, so that it may be repeated and may overlap. Sets `appliedSeq` to `upTo`, which says that
   * `entries` holds every such entry with `appliedSeq < seq ≤ upTo`; if `from` (exclusive start of what `entries`
   * covers) is beyond `appliedSeq`, nothing is applied and the current facts are returned: read the rest first.
   * A member who is added gets `readSeq` = `deliveredSeq` = the entry's seq. Removing keeps the interval with `leftSeq`.
   */
  applyEntries(
    id: ConversationId,
    entries: readonly LogEntry[],
    covered: { readonly from: Seq; readonly upTo: Seq },
  ): Promise<ConversationFacts | null>;

  /** Current memberships of a user, deleted conversations left out; in no particular order, all of them. */
  conversationsOf(workspaceId: WorkspaceId, userId: UserId): Promise<readonly MembershipView[]>;
  membershipOf(userId: UserId, conversationId: ConversationId): Promise<MembershipView | null>;
  /** Of these conversations, those that the user was once a member of and is no longer (or that were deleted). */
  formerAmong(userId: UserId, ids: readonly ConversationId[]): Promise<readonly ConversationId[]>;
  publicChannels(
    workspaceId: WorkspaceId,
    query: string | null,
    page: { readonly limit: number; readonly cursor: string | null },
  ): Promise<Page<ConversationFacts>>;

  /** Intervals of the named users, former ones included; users never members are absent. At most 10,000 ids. */
  memberships(
    id: ConversationId,
    userIds: readonly UserId[],
  ): Promise<ReadonlyMap<UserId, readonly MembershipInterval[]>>;
  /** All intervals of everyone, former ones included. */
  allMemberships(id: ConversationId): Promise<readonly MemberRow[]>;
  /** Current members in order of joining. */
  members(
    id: ConversationId,
    page: { readonly limit: number; readonly cursor: string | null },
  ): Promise<Page<MemberView>>;
  /** Those of `userIds` who are, now, in a conversation with `userId`. At most 1,000 ids. */
  acquainted(workspaceId: WorkspaceId, userId: UserId, userIds: readonly UserId[]): Promise<readonly UserId[]>;

  // --- positions
  /**
   * Moves a current member's position. `read` and `delivered` only move forward (`read` takes `delivered` along);
   * `unread` sets the read position to `seq`, back or forth. The result is what is stored afterwards; null: no member.
   */
  mark(
    userId: UserId,
    id: ConversationId,
    mark: { readonly kind: 'read' | 'delivered' | 'unread'; readonly seq: Seq; readonly at: string },
  ): Promise<(Position & { readonly moved: boolean }) | null>;
  /**
   * Current members, other than `exceptUserId`, whose delivered position is at least `seq`, by user id. Whoever joined
   * after `seq` has not received it, whatever their position says.
   */
  positionsFrom(
    id: ConversationId,
    seq: Seq,
    exceptUserId: UserId,
    page: { readonly limit: number; readonly cursor: string | null },
  ): Promise<Page<Position>>;
  /** Of the members that `positionsFrom` lists: all of them, and those whose read position is at least `seq`. */
  countPositions(
    id: ConversationId,
    seq: Seq,
    exceptUserId: UserId,
  ): Promise<{ readonly delivered: number; readonly read: number }>;

  close(): Promise<void>;
}
