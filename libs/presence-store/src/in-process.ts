import type { InstanceId, PresenceBeat, PresenceStatus, UserId, WorkspaceId } from '@parley/contracts';

import type { PresenceChange, PresenceState, PresenceStore } from './presence-store.js';

export interface InProcessPresenceStoreConfig {
  /** How long a beat holds. */
  readonly ttlMs: number;
  /** Offline users whose last sign of life is remembered; beyond, the one who left longest ago is forgotten. */
  readonly maxRemembered?: number;
}

const MAX_REMEMBERED = 1_000_000;

/** A user with beats. */
interface Live {
  readonly workspaceId: WorkspaceId;
  readonly userId: UserId;
  /** One per server that has this user's sessions; nearly always one. */
  readonly beats: Beat[];
  /** The status that callers were last told. */
  told: PresenceStatus;
  lastSeenMs: number;
}

interface Beat {
  readonly of: Live;
  readonly serverId: InstanceId;
  status: PresenceBeat['status'];
  atMs: number;
}

/** Presence of one process. Beats are kept in order of time, so `expire` looks at those that have expired only. */
export class InProcessPresenceStore implements PresenceStore {
  readonly #ttlMs: number;
  readonly #maxRemembered: number;
  readonly #live = new Map<string, Live>();
  /** A set keeps the order of insertion: the oldest beat is first. */
  readonly #beats = new Set<Beat>();
  /** Last sign of life of users without beats, the one who left longest ago first. */
  readonly #remembered = new Map<string, number>();

  constructor(config: InProcessPresenceStoreConfig) {
    this.#ttlMs = config.ttlMs;
    this.#maxRemembered = config.maxRemembered ?? MAX_REMEMBERED;
  }

  async beat(serverId: InstanceId, beats: readonly PresenceBeat[], nowMs: number): Promise<readonly PresenceChange[]> {
    const changes: PresenceChange[] = [];
    for (const { workspaceId, userId, status } of beats) {
      const live = this.#liveOf(workspaceId, userId);
      let beat = live.beats.find((each) => each.serverId === serverId);
      if (beat === undefined) {
        beat = { of: live, serverId, status, atMs: nowMs };
        live.beats.push(beat);
      }
      beat.status = status;
      beat.atMs = nowMs;
      this.#beats.delete(beat);
      this.#beats.add(beat);
      live.lastSeenMs = Math.max(live.lastSeenMs, nowMs);
      this.#tell(live, nowMs, changes);
    }
    return changes;
  }

  async expire(nowMs: number): Promise<readonly PresenceChange[]> {
    const touched = new Set<Live>();
    for (const beat of this.#beats) {
      if (beat.atMs + this.#ttlMs > nowMs) break;
      this.#beats.delete(beat);
      beat.of.beats.splice(beat.of.beats.indexOf(beat), 1);
      touched.add(beat.of);
    }
    const changes: PresenceChange[] = [];
    for (const live of touched) {
      this.#tell(live, nowMs, changes);
      if (live.beats.length === 0) this.#remember(live);
    }
    return changes;
  }

  async get(workspaceId: WorkspaceId, userIds: readonly UserId[], nowMs: number): Promise<readonly PresenceState[]> {
    return userIds.map((userId) => {
      const key = keyOf(workspaceId, userId);
      const live = this.#live.get(key);
      if (live === undefined) return { userId, status: 'offline', lastSeenMs: this.#remembered.get(key) ?? null };
      return { userId, status: this.#statusOf(live, nowMs), lastSeenMs: live.lastSeenMs };
    });
  }

  async close(): Promise<void> {
    this.#live.clear();
    this.#beats.clear();
    this.#remembered.clear();
  }

  #liveOf(workspaceId: WorkspaceId, userId: UserId): Live {
    const key = keyOf(workspaceId, userId);
    const known = this.#live.get(key);
    if (known !== undefined) return known;
    const live: Live = { workspaceId, userId, beats: [], told: 'offline', lastSeenMs: 0 };
    this.#live.set(key, live);
    this.#remembered.delete(key);
    return live;
  }

  #statusOf(live: Live, nowMs: number): PresenceStatus {
    let status: PresenceStatus = 'offline';
    for (const beat of live.beats) {
      if (beat.atMs + this.#ttlMs <= nowMs) continue;
      if (beat.status === 'online') return 'online';
      status = 'away';
    }
    return status;
  }

  #tell(live: Live, nowMs: number, changes: PresenceChange[]): void {
    const status = this.#statusOf(live, nowMs);
    if (status === live.told) return;
    live.told = status;
    const { workspaceId, userId, lastSeenMs } = live;
    changes.push({ workspaceId, userId, status, lastSeenMs });
  }

  #remember({ workspaceId, userId, lastSeenMs }: Live): void {
    const key = keyOf(workspaceId, userId);
    this.#live.delete(key);
    this.#remembered.set(key, lastSeenMs);
    if (this.#remembered.size <= this.#maxRemembered) return;
    for (const longestAgo of this.#remembered.keys()) {
      this.#remembered.delete(longestAgo);
      break;
    }
  }
}

/** Ids have no slash. */
function keyOf(workspaceId: WorkspaceId, userId: UserId): string {
  return `${workspaceId}/${userId}`;
}
