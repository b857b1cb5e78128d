import type { InstanceId, PresenceBeat, PresenceStatus, UserId, WorkspaceId } from '@parley/contracts';
import { byShard, type RedisConnection, type Reply } from '@parley/redis-client';

import type { PresenceChange, PresenceState, PresenceStore } from './presence-store.js';
import { BEAT, EXPIRE } from './redis-scripts.js';

export interface RedisPresenceStoreConfig {
  readonly redis: RedisConnection;
  /** How long a beat holds. */
  readonly ttlMs: number;
  /** How long a user's last sign of life is remembered. */
  readonly rememberedMs?: number;
}

const REMEMBERED_MS = 40 * 86_400_000;
/** A user's state and its place in the index are in one part, so that a script changes both in one step. */
const SHARDS = 64;
const PER_SCRIPT = 100;
/** Scripts sent before their answers are waited for. */
const SCRIPTS_IN_FLIGHT = 64;
/** Users that one `expire` looks at in each part; the rest are due at the next. */
const EXPIRED_PER_SHARD = 1_000;
/** Servers with one user's sessions; beyond, the one that came first is forgotten. */
const SERVERS_PER_USER = 20;

/**
 * Presence in Redis. After a flush everyone with a session is told as online once more, by the next beat of each server;
 * when users who left were last seen is lost. A change whose answer got lost on the way is heard of with the user's next.
 */
export class RedisPresenceStore implements PresenceStore {
  readonly #redis: RedisConnection;
  readonly #ttlMs: number;
  readonly #rememberedMs: number;

  constructor(config: RedisPresenceStoreConfig) {
    this.#redis = config.redis;
    this.#ttlMs = config.ttlMs;
    this.#rememberedMs = config.rememberedMs ?? REMEMBERED_MS;
  }

  async beat(serverId: InstanceId, beats: readonly PresenceBeat[], nowMs: number): Promise<readonly PresenceChange[]> {
    const calls = byShard(beats, keyOf, { shards: SHARDS, perCall: PER_SCRIPT }).map(({ shard, items }) => ({
      script: BEAT,
      keys: this.#keys(shard),
      args: [
        nowMs,
        this.#ttlMs,
        this.#rememberedMs,
        serverId,
        SERVERS_PER_USER,
        ...items.flatMap((beat) => [keyOf(beat), LETTERS[beat.status]]),
      ],
    }));
    const changes: PresenceChange[] = [];
    for (let at = 0; at < calls.length; at += SCRIPTS_IN_FLIGHT) {
      const replies = await this.#redis.batch(calls.slice(at, at + SCRIPTS_IN_FLIGHT));
      changes.push(...replies.flatMap(changesOf));
    }
    if (changes.length < 2) return changes;
    const order = new Map(beats.map((beat, index) => [keyOf(beat), index]));
    const placeOf = (change: PresenceChange): number => order.get(keyOf(change)) ?? 0;
    return changes.sort((a, b) => placeOf(a) - placeOf(b));
  }

  async expire(nowMs: number): Promise<readonly PresenceChange[]> {
    const changes: PresenceChange[] = [];
    let shards = Array.from({ length: SHARDS }, (_, shard) => shard);
    for (let looked = 0; shards.length > 0 && looked < EXPIRED_PER_SHARD; looked += PER_SCRIPT) {
      const replies = await this.#redis.batch(
        shards.map((shard) => ({
          script: EXPIRE,
          keys: this.#keys(shard),
          args: [nowMs, this.#ttlMs, this.#rememberedMs, PER_SCRIPT],
        })),
      );
      const [due, told] = [replies.map((reply) => partOf(reply, 0)), replies.map((reply) => partOf(reply, 1))];
      changes.push(...told.flatMap(changesOf));
      shards = shards.filter((_, index) => due[index] === PER_SCRIPT);
    }
    return changes;
  }

  async get(workspaceId: WorkspaceId, userIds: readonly UserId[], nowMs: number): Promise<readonly PresenceState[]> {
    const groups = byShard(userIds, (userId) => keyOf({ workspaceId, userId }), { shards: SHARDS, perCall: 1_000 });
    const replies = await this.#redis.batch(
      groups.map(({ shard, items }) => ({
        command: 'HMGET',
        key: this.#keys(shard)[0],
        args: items.map((userId) => keyOf({ workspaceId, userId })),
      })),
    );
    const states = new Map<UserId, PresenceState>();
    groups.forEach(({ items }, at) => {
      items.forEach((userId, index) => {
        states.set(userId, { userId, ...this.#stateOf(partOf(replies[at], index), nowMs) });
      });
    });
    return userIds.map((userId) => states.get(userId) ?? { userId, ...NEVER });
  }

  /** The connection is its owner's. */
  async close(): Promise<void> {}

  #stateOf(value: Reply | undefined, nowMs: number): Omit<PresenceState, 'userId'> {
    if (typeof value !== 'string') return NEVER;
    const [, lastSeenMs, ...beats] = value.split(' ');
    let status: PresenceStatus = 'offline';
    for (let at = 0; at + 2 < beats.length; at += 3) {
      if (Number(beats[at + 2]) + this.#ttlMs <= nowMs || status === 'online') continue;
      status = beats[at + 1] === LETTERS.online ? 'online' : 'away';
    }
    return { status, lastSeenMs: Number(lastSeenMs) };
  }

  #keys(shard: number): readonly [string, string] {
    const prefix = `${this.#redis.keyPrefix}{p:${shard}}:`;
    return [`${prefix}users`, `${prefix}due`];
  }
}

const NEVER = { status: 'offline', lastSeenMs: null } as const;
const LETTERS = { online: 'n', away: 'a', offline: 'f' } as const satisfies Record<PresenceStatus, string>;
const STATUSES: ReadonlyMap<string, PresenceStatus> = new Map([
  ['n', 'online'],
  ['a', 'away'],
  ['f', 'offline'],
]);

/** Ids have no slash. */
function keyOf({ workspaceId, userId }: { workspaceId: WorkspaceId; userId: UserId }): string {
  return `${workspaceId}/${userId}`;
}

function partOf(reply: Reply | undefined, index: number): Reply {
  return Array.isArray(reply) ? (reply[index] ?? null) : null;
}

const PARTS = 3;

function changesOf(reply: Reply): readonly PresenceChange[] {
  if (!Array.isArray(reply)) return [];
  return Array.from({ length: reply.length / PARTS }, (_, index) => {
    const [user, letter, lastSeenMs] = reply.slice(index * PARTS, (index + 1) * PARTS).map(String);
    const [workspaceId, userId] = (user ?? '').split('/');
    return {
      workspaceId: workspaceId as WorkspaceId,
      userId: userId as UserId,
      status: STATUSES.get(letter ?? '') ?? 'offline',
      lastSeenMs: Number(lastSeenMs),
    };
  });
}
