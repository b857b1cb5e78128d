import type { InstanceId, SessionId, SessionRecord, UserId, WorkspaceId } from '@parley/contracts';

import type { SessionRegistry } from './session-registry.js';

export interface InProcessSessionRegistryConfig {
  /** A session is forgotten this long after its last registration or refresh. */
  readonly ttlMs: number;
  /** Beyond, a user's oldest session is forgotten. */
  readonly maxSessionsPerUser?: number;
  readonly nowMs?: () => number;
}

const MAX_SESSIONS_PER_USER = 20;
const LOOKUP_MAX = 10_000;
/** Servers whose epoch is remembered; beyond, the one that registered first is forgotten. */
const SERVERS_MAX = 10_000;
/** Users looked at for expired sessions with each session written, so that sweeping keeps up without a timer. */
const SWEEP_PER_WRITE = 2;

interface Held {
  readonly session: SessionRecord;
  expiresAtMs: number;
}

/** The registry of one process. Expired sessions are not found, and are swept little by little by later writes. */
export class InProcessSessionRegistry implements SessionRegistry {
  readonly #ttlMs: number;
  readonly #maxSessionsPerUser: number;
  readonly #nowMs: () => number;
  /** By workspace and user, then by session in order of registration. */
  readonly #users = new Map<string, Map<SessionId, Held>>();
  readonly #epochs = new Map<InstanceId, number>();
  #sweep = this.#users.entries();

  constructor(config: InProcessSessionRegistryConfig) {
    this.#ttlMs = config.ttlMs;
    this.#maxSessionsPerUser = config.maxSessionsPerUser ?? MAX_SESSIONS_PER_USER;
    this.#nowMs = config.nowMs ?? Date.now;
  }

  /** Users in memory, those whose sessions have expired and were not yet swept included. */
  get size(): number {
    return this.#users.size;
  }

  async register(sessions: readonly SessionRecord[]): Promise<void> {
    for (const session of sessions) {
      if (this.#admit(session)) this.#hold(session);
    }
    this.#sweepSome(sessions.length * SWEEP_PER_WRITE);
  }

  async refresh(sessions: readonly SessionRecord[]): Promise<void> {
    const expiresAtMs = this.#nowMs() + this.#ttlMs;
    for (const session of sessions) {
      if (!this.#admit(session)) continue;
      const held = this.#users.get(keyOf(session.workspaceId, session.userId))?.get(session.sessionId);
      // The same session in a new epoch is registered anew.
      if (held?.session.serverId === session.serverId && held.session.epoch === session.epoch) {
        held.expiresAtMs = expiresAtMs;
      } else {
        this.#hold(session);
      }
    }
    this.#sweepSome(sessions.length * SWEEP_PER_WRITE);
  }

  async remove(
    serverId: InstanceId,
    sessions: readonly { workspaceId: WorkspaceId; userId: UserId; sessionId: SessionId }[],
  ): Promise<void> {
    for (const { workspaceId, userId, sessionId } of sessions) {
      const key = keyOf(workspaceId, userId);
      const ofUser = this.#users.get(key);
      if (ofUser?.get(sessionId)?.session.serverId !== serverId) continue;
      ofUser.delete(sessionId);
      if (ofUser.size === 0) this.#users.delete(key);
    }
  }

  async lookup(
    workspaceId: WorkspaceId,
    userIds: readonly UserId[],
  ): Promise<ReadonlyMap<UserId, readonly SessionRecord[]>> {
    if (userIds.length > LOOKUP_MAX) throw new RangeError(`At most ${LOOKUP_MAX} users in a lookup`);
    const nowMs = this.#nowMs();
    const found = new Map<UserId, readonly SessionRecord[]>();
    for (const userId of userIds) {
      const ofUser = this.#users.get(keyOf(workspaceId, userId));
      if (ofUser === undefined) continue;
      const live: SessionRecord[] = [];
      for (const held of ofUser.values()) if (this.#isLive(held, nowMs)) live.push(held.session);
      if (live.length > 0) found.set(userId, live);
    }
    return found;
  }

  async close(): Promise<void> {
    this.#users.clear();
    this.#epochs.clear();
  }

  /** Learns the server's epoch; false for a session of an epoch that is over. */
  #admit({ serverId, epoch }: SessionRecord): boolean {
    const known = this.#epochs.get(serverId);
    if (known !== undefined && epoch <= known) return epoch === known;
    this.#epochs.set(serverId, epoch);
    if (this.#epochs.size > SERVERS_MAX) {
      for (const first of this.#epochs.keys()) {
        this.#epochs.delete(first);
        break;
      }
    }
    return true;
  }

  #hold(session: SessionRecord): void {
    const key = keyOf(session.workspaceId, session.userId);
    const ofUser = this.#users.get(key) ?? new Map<SessionId, Held>();
    this.#users.set(key, ofUser);
    const nowMs = this.#nowMs();
    // Last in order, whether it was there or not.
    ofUser.delete(session.sessionId);
    ofUser.set(session.sessionId, { session, expiresAtMs: nowMs + this.#ttlMs });
    if (ofUser.size <= this.#maxSessionsPerUser) return;
    this.#dropDead(ofUser, nowMs);
    for (const oldest of ofUser.keys()) {
      if (ofUser.size <= this.#maxSessionsPerUser) break;
      ofUser.delete(oldest);
    }
  }

  #isLive({ session, expiresAtMs }: Held, nowMs: number): boolean {
    return expiresAtMs > nowMs && session.epoch >= (this.#epochs.get(session.serverId) ?? 0);
  }

  #dropDead(ofUser: Map<SessionId, Held>, nowMs: number): void {
    for (const [sessionId, held] of ofUser) if (!this.#isLive(held, nowMs)) ofUser.delete(sessionId);
  }

  #sweepSome(users: number): void {
    const nowMs = this.#nowMs();
    for (let looked = 0; looked < users; looked += 1) {
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = this.#users.entries();
        return;
      }
      const [key, ofUser] = next.value;
      this.#dropDead(ofUser, nowMs);
      if (ofUser.size === 0) this.#users.delete(key);
    }
  }
}

/** Ids have no slash. */
function keyOf(workspaceId: WorkspaceId, userId: UserId): string {
  return `${workspaceId}/${userId}`;
}
