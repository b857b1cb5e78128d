import type { InstanceId, PresenceBeat, PresenceStatus, UserId, WorkspaceId } from '@parley/contracts';

export interface PresenceState {
  readonly userId: UserId;
  readonly status: PresenceStatus;
  /** Milliseconds since the epoch of the last sign of life; null: never seen. */
  readonly lastSeenMs: number | null;
}

/** A user whose status is not what it was. */
export interface PresenceChange extends PresenceState {
  readonly workspaceId: WorkspaceId;
}

/**
 * The last sign of life of every user, per chat server.
 *
 * Guarantees, for every adapter:
 * - A user is `online` if any server's beat within `ttlMs` says so, else `away` if any says that, else `offline`.
 *   Nothing makes a user offline sooner than `ttlMs` after the last beat: a reconnect within it is not seen by anyone.
 * - `beat` answers the users whose status it changed; `expire` those who became offline (or away, when only away
 *   beats are left) since it was last called. Each change is answered once, by one call, over all callers.
 * - `lastSeenMs` outlives the beats for at least 30 days (embedded: the life of the process), within a bound of users.
 */
export interface PresenceStore {
  beat(serverId: InstanceId, beats: readonly PresenceBeat[], nowMs: number): Promise<readonly PresenceChange[]>;
  expire(nowMs: number): Promise<readonly PresenceChange[]>;
  /** In order of `userIds`. */
  get(workspaceId: WorkspaceId, userIds: readonly UserId[], nowMs: number): Promise<readonly PresenceState[]>;
  close(): Promise<void>;
}
