import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { InstanceId, PresenceBeat, UserId, WorkspaceId } from '@parley/contracts';
import type { RedisConnection } from '@parley/redis-client';
import { connectTo, type Kind } from '@parley/redis-client/testing';

import { presenceStoreConformance } from './conformance.js';
import { RedisPresenceStore } from './redis.js';

const DAY_MS = 86_400_000;

/** What holds on one server and on a cluster. */
export function redisSuite(kind: Kind): void {
  presenceStoreConformance(`redis on ${kind}`, async (options) => {
    const redis = await connectTo(kind);
    return { store: new RedisPresenceStore({ ...options, redis }), close: () => redis.close() };
  });

  describe(`presence of several processes in ${kind}`, () => {
    const workspaceId = 'w' as WorkspaceId;
    const users = Array.from({ length: 1_000 }, (_, index) => `u_${index}` as UserId);
    const beats: readonly PresenceBeat[] = users.map((userId) => ({ workspaceId, userId, status: 'online' }));
    const ttlMs = 1_000;
    let connections: RedisConnection[];
    let stores: RedisPresenceStore[];

    beforeEach(async () => {
      const first = await connectTo(kind);
      connections = [first, await connectTo(kind, { keyPrefix: first.keyPrefix })];
      stores = connections.map((redis) => new RedisPresenceStore({ redis, ttlMs }));
    });
    afterEach(async () => {
      for (const redis of connections) await redis.close();
    });

    it('tells each change once, whoever of them beats and expires at the same time', async () => {
      const came = await Promise.all(
        stores.map((store, index) => store.beat(`chat-${index}` as InstanceId, beats, 1_000)),
      );
      expect(
        came
          .flat()
          .map(({ userId }) => userId)
          .toSorted(),
      ).toEqual(users.toSorted());
      const left = await Promise.all([...stores, ...stores].map((store) => store.expire(1_000 + ttlMs)));
      expect(
        left
          .flat()
          .map(({ userId }) => userId)
          .toSorted(),
      ).toEqual(users.toSorted());
    });

    it('remembers the last sign of life for 30 days, and no longer than it must', async () => {
      const [store] = stores;
      if (store === undefined) throw new Error('not opened');
      await store.beat('chat-1' as InstanceId, beats.slice(0, 1), 1_000);
      await store.expire(3_000);
      await store.expire(31 * DAY_MS);
      expect(await store.get(workspaceId, users.slice(0, 1), 31 * DAY_MS)).toMatchObject([{ lastSeenMs: 1_000 }]);
      await store.expire(41 * DAY_MS);
      expect(await store.get(workspaceId, users.slice(0, 1), 41 * DAY_MS)).toMatchObject([{ lastSeenMs: null }]);
    });

    it('knows everyone again with the next beat after it lost all', async () => {
      const [store] = stores;
      const [redis] = connections;
      if (store === undefined || redis === undefined) throw new Error('not opened');
      await store.beat('chat-1' as InstanceId, beats, 1_000);
      const keys = Array.from({ length: 64 }, (_, shard) =>
        ['users', 'due'].map((name) => `${redis.keyPrefix}{p:${shard}}:${name}`),
      ).flat();
      await redis.batch(keys.map((key) => ({ command: 'DEL', key, args: [] })));
      expect(await store.beat('chat-1' as InstanceId, beats, 1_500)).toHaveLength(users.length);
      expect(await store.expire(1_500 + ttlMs)).toHaveLength(users.length);
    });
  });
}
