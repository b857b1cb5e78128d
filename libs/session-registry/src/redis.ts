import type { DeviceId, InstanceId, SessionId, SessionRecord, UserId, WorkspaceId } from '@parley/contracts';
import { byShard, type RedisConnection, type RedisCall, type Reply } from '@parley/redis-client';

import { ANNOUNCE, HOLD, LOOKUP, REMOVE } from './redis-scripts.js';
import type { SessionRegistry } from './session-registry.js';

export interface RedisSessionRegistryConfig {
  readonly redis: RedisConnection;
  /** A session is forgotten this long after its last registration or refresh, by Redis' clock. */
  readonly ttlMs: number;
  /** Beyond, a user's oldest session is forgotten. */
  readonly maxSessionsPerUser?: number;
}

const MAX_SESSIONS_PER_USER = 20;
const LOOKUP_MAX = 10_000;
/**
 * Users are spread over so many hash tags. One script then serves the users of a part: a tenth of the commands of one
 * per user when many are looked up, and still even enough over the nodes of a cluster.
 */
const SHARDS = 256;
/** Sessions in one script, which holds everyone else up for as long as it runs (about 0.5 ms). */
const PER_SCRIPT = 100;
/** Scripts sent before their answers are waited for, so that neither Redis nor this process is busy with them for long. */
const SCRIPTS_IN_FLIGHT = 32;
/** A server that says nothing for so long may come back in an old epoch; longer than any connection lives that long. */
const SERVER_REMEMBERED_MS = 86_400_000;
const SERVERS_MAX = 10_000;

/**
 * The registry in Redis. What a flush or a failover loses, the next refresh of each chat server brings back: sessions
 * and the epochs of servers alike.
 */
export class RedisSessionRegistry implements SessionRegistry {
  readonly #redis: RedisConnection;
  readonly #ttlMs: number;
  readonly #maxSessionsPerUser: number;
  /** Epochs that every shard was told by this process, or is being told: sessions that come at once wait for one telling. */
  readonly #announced = new Map<InstanceId, { readonly epoch: number; readonly told: Promise<void> }>();

  constructor(config: RedisSessionRegistryConfig) {
    this.#redis = config.redis;
    this.#ttlMs = config.ttlMs;
    this.#maxSessionsPerUser = config.maxSessionsPerUser ?? MAX_SESSIONS_PER_USER;
  }

  async register(sessions: readonly SessionRecord[]): Promise<void> {
    await Promise.all(
      [...epochsOf(sessions)].map(([server, epoch]) => {
        const known = this.#announced.get(server);
        return known !== undefined && known.epoch >= epoch ? known.told : this.#announce(server, epoch);
      }),
    );
    await this.#hold(sessions, 0);
  }

  /** Tells every shard the epoch too, so that those that lost it know it again. */
  async refresh(sessions: readonly SessionRecord[]): Promise<void> {
    await Promise.all([...epochsOf(sessions)].map(([server, epoch]) => this.#announce(server, epoch)));
    await this.#hold(sessions, 1);
  }

  async remove(
    serverId: InstanceId,
    sessions: readonly { workspaceId: WorkspaceId; userId: UserId; sessionId: SessionId }[],
  ): Promise<void> {
    const calls = byShard(sessions, userKey, { shards: SHARDS, perCall: PER_SCRIPT }).map(({ shard, items }) => {
      const [first = '', ...rest] = items.map((item) => this.#key(shard, `u:${userKey(item)}`));
      return {
        script: REMOVE,
        keys: [first, ...rest] as const,
        args: [serverId, ...items.map(({ sessionId }) => sessionId)],
      };
    });
    await this.#send(calls);
  }

  async lookup(
    workspaceId: WorkspaceId,
    userIds: readonly UserId[],
  ): Promise<ReadonlyMap<UserId, readonly SessionRecord[]>> {
    if (userIds.length > LOOKUP_MAX) throw new RangeError(`At most ${LOOKUP_MAX} users in a lookup`);
    const keyOf = (userId: UserId): string => `${workspaceId}/${userId}`;
    const groups = byShard(userIds, keyOf, { shards: SHARDS, perCall: PER_SCRIPT });
    const replies = await this.#redis.batch(
      groups.map(({ shard, items }) => ({
        script: LOOKUP,
        keys: [this.#key(shard, 'epochs'), ...items.map((userId) => this.#key(shard, `u:${keyOf(userId)}`))],
        args: [],
      })),
    );
    const found = new Map<UserId, readonly SessionRecord[]>();
    groups.forEach(({ items }, at) => {
      const reply = replies[at];
      items.forEach((userId, index) => {
        const sessions = sessionsOf(workspaceId, userId, Array.isArray(reply) ? reply[index] : null);
        if (sessions.length > 0) found.set(userId, sessions);
      });
    });
    return found;
  }

  /** The connection is its owner's. */
  async close(): Promise<void> {
    this.#announced.clear();
  }

  #announce(server: InstanceId, epoch: number): Promise<void> {
    const told = this.#send(
      Array.from({ length: SHARDS }, (_, shard) => ({
        script: ANNOUNCE,
        keys: [this.#key(shard, 'epochs'), this.#key(shard, 'seen')] as const,
        args: [server, epoch, SERVER_REMEMBERED_MS, SERVERS_MAX],
      })),
    );
    const announced = { epoch, told };
    this.#announced.delete(server);
    this.#announced.set(server, announced);
    for (const first of this.#announced.keys()) {
      if (this.#announced.size <= SERVERS_MAX) break;
      this.#announced.delete(first);
    }
    return told.catch((error: unknown) => {
      if (this.#announced.get(server) === announced) this.#announced.delete(server);
      throw error;
    });
  }

  async #hold(sessions: readonly SessionRecord[], refreshing: 0 | 1): Promise<void> {
    const calls = byShard(sessions, userKey, { shards: SHARDS, perCall: PER_SCRIPT }).map(({ shard, items }) => ({
      script: HOLD,
      keys: [this.#key(shard, 'epochs'), ...items.map((item) => this.#key(shard, `u:${userKey(item)}`))] as const,
      args: [
        this.#ttlMs,
        this.#maxSessionsPerUser,
        refreshing,
        ...items.flatMap(({ sessionId, epoch, serverId, deviceId }) => [sessionId, epoch, serverId, deviceId]),
      ],
    }));
    await this.#send(calls);
  }

  async #send(calls: readonly RedisCall[]): Promise<void> {
    for (let at = 0; at < calls.length; at += SCRIPTS_IN_FLIGHT) {
      await this.#redis.batch(calls.slice(at, at + SCRIPTS_IN_FLIGHT));
    }
  }

  #key(shard: number, name: string): string {
    return `${this.#redis.keyPrefix}{s:${shard}}:${name}`;
  }
}

/** Ids have no slash. */
function userKey({ workspaceId, userId }: { workspaceId: WorkspaceId; userId: UserId }): string {
  return `${workspaceId}/${userId}`;
}

/** The latest epoch of each server among these. */
function epochsOf(sessions: readonly SessionRecord[]): Map<InstanceId, number> {
  const epochs = new Map<InstanceId, number>();
  for (const { serverId, epoch } of sessions) epochs.set(serverId, Math.max(epoch, epochs.get(serverId) ?? 0));
  return epochs;
}

const PARTS = 4;

function sessionsOf(workspaceId: WorkspaceId, userId: UserId, reply: Reply | undefined): readonly SessionRecord[] {
  if (!Array.isArray(reply)) return [];
  return Array.from({ length: reply.length / PARTS }, (_, index) => {
    const [sessionId, epoch, serverId, deviceId] = reply.slice(index * PARTS, (index + 1) * PARTS);
    return {
      workspaceId,
      userId,
      deviceId: String(deviceId) as DeviceId,
      sessionId: String(sessionId) as SessionId,
      serverId: String(serverId) as InstanceId,
      epoch: Number(epoch),
    };
  });
}
