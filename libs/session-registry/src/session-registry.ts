import type { InstanceId, SessionId, SessionRecord, UserId, WorkspaceId } from '@parley/contracts';

/**
 * Which chat server holds which live session. A cache of what chat servers know: lossy, expiring, never the truth.
 *
 * Guarantees, for every adapter:
 * - A registered session is found until it is removed, or `ttlMs` after its last registration or refresh.
 * - A session of an older epoch of a server is not found once a newer epoch of that server has registered anything.
 * - Lookups of many users are one round trip.
 * - Bounded: at most `maxSessionsPerUser` sessions of one user are kept, the latest.
 */
export interface SessionRegistry {
  register(sessions: readonly SessionRecord[]): Promise<void>;
  /** Extends all sessions that a server has, by id; those that had expired are registered again. */
  refresh(sessions: readonly SessionRecord[]): Promise<void>;
  remove(
    serverId: InstanceId,
    sessions: readonly { workspaceId: WorkspaceId; userId: UserId; sessionId: SessionId }[],
  ): Promise<void>;
  /** Live sessions of each user; users without one are absent. At most 10,000 users. */
  lookup(workspaceId: WorkspaceId, userIds: readonly UserId[]): Promise<ReadonlyMap<UserId, readonly SessionRecord[]>>;
  close(): Promise<void>;
}
