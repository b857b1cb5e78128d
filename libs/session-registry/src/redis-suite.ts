import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { DeviceId, InstanceId, SessionId, SessionRecord, UserId, WorkspaceId } from '@parley/contracts';
import { type RedisConnection, script } from '@parley/redis-client';
import { connectTo, flush, type Kind } from '@parley/redis-client/testing';

import { sessionRegistryConformance } from './conformance.js';
import { RedisSessionRegistry } from './redis.js';

const TIME = script(`return redis.call('TIME')`);

/** What holds on one server and on a cluster. */
export function redisSuite(kind: Kind): void {
  sessionRegistryConformance(`redis on ${kind}`, async (limits) => {
    const redis = await connectTo(kind);
    const registry = new RedisSessionRegistry({ ...limits, redis });
    const nowMs = async (): Promise<number> => {
      const time = await redis.call({ script: TIME, keys: [redis.keyPrefix], args: [] });
      return Array.isArray(time) ? Number(time[0]) * 1_000 + Number(time[1]) / 1_000 : 0;
    };
    return {
      registry,
      // The clock is the server's: asked until it has come so far.
      async advance(ms) {
        const dueMs = (await nowMs()) + ms;
        while ((await nowMs()) < dueMs);
      },
      close: () => redis.close(),
    };
  });

  describe(`session registries of several processes in ${kind}`, () => {
    const workspaceId = 'w' as WorkspaceId;
    const ann = 'u_ann' as UserId;
    const session = (sessionId: string, more: Partial<SessionRecord> = {}): SessionRecord => ({
      workspaceId,
      userId: ann,
      deviceId: 'd' as DeviceId,
      sessionId: sessionId as SessionId,
      serverId: 'chat-1' as InstanceId,
      epoch: 1,
      ...more,
    });
    let connections: RedisConnection[];
    let registries: RedisSessionRegistry[];

    beforeEach(async () => {
      const first = await connectTo(kind);
      connections = [first, await connectTo(kind, { keyPrefix: first.keyPrefix })];
      registries = connections.map(
        (redis) => new RedisSessionRegistry({ redis, ttlMs: 30_000, maxSessionsPerUser: 5 }),
      );
    });
    afterEach(async () => {
      for (const redis of connections) await redis.close();
    });
    const both = (): [RedisSessionRegistry, RedisSessionRegistry] => {
      const [one, two] = registries;
      if (one === undefined || two === undefined) throw new Error('not opened');
      return [one, two];
    };
    const idsOf = async (userId = ann): Promise<string[]> =>
      ((await both()[1].lookup(workspaceId, [userId])).get(userId) ?? []).map((each) => each.sessionId).sort();

    it('keeps the bound of a user while all register at once', async () => {
      await Promise.all(
        Array.from({ length: 60 }, (_, index) => registries[index % 2]?.register([session(`s${index}`)])),
      );
      expect(await idsOf()).toHaveLength(5);
    });

    it('learns of an epoch for users that the new server has none of', async () => {
      const [one, two] = both();
      const users = Array.from({ length: 500 }, (_, index) => `u_${index}` as UserId);
      await one.register(users.map((userId, index) => session(`s${index}`, { userId })));
      await two.register([session('new', { epoch: 2 })]);
      expect([...(await one.lookup(workspaceId, [...users, ann])).keys()]).toEqual([ann]);
    });

    it('has everything again after it was flushed, with the next refresh', async () => {
      const [one, two] = both();
      await one.register([session('old')]);
      await two.register([session('s1', { epoch: 2 }), session('s2', { epoch: 2 })]);
      for (const redis of connections) await flushAll(redis, kind);
      expect(await idsOf()).toEqual([]);
      await two.refresh([session('s1', { epoch: 2 }), session('s2', { epoch: 2 })]);
      await one.refresh([session('old'), session('else', { userId: 'u_bob' as UserId })]);
      expect(await idsOf()).toEqual(['s1', 's2']);
      expect(await idsOf('u_bob' as UserId)).toEqual([]);
    });

    it('refreshes 50,000 sessions without holding the others up', async () => {
      const [one, two] = both();
      const many = Array.from({ length: 50_000 }, (_, index) =>
        session(`s${index}`, { userId: `u_${index}` as UserId, serverId: 'chat-2' as InstanceId }),
      );
      await two.register([session('s1')]);
      let answered = 0;
      let refreshing = true;
      const refreshed = one.refresh(many).finally(() => (refreshing = false));
      while (refreshing) {
        await two.lookup(workspaceId, [ann]);
        answered += 1;
      }
      await refreshed;
      expect(answered).toBeGreaterThan(10);
      expect(
        (
          await two.lookup(
            workspaceId,
            many.slice(-1).map(({ userId }) => userId),
          )
        ).size,
      ).toBe(1);
    });
  });
}

async function flushAll(redis: RedisConnection, kind: Kind): Promise<void> {
  if (kind === 'one server') await flush(redis);
  // A script sees one node: the keys of every shard are named instead.
  else {
    const names = Array.from({ length: 256 }, (_, shard) =>
      ['epochs', 'seen', 'u:w/u_ann', 'u:w/u_bob'].map((name) => `${redis.keyPrefix}{s:${shard}}:${name}`),
    ).flat();
    await redis.batch(names.map((key) => ({ command: 'DEL', key, args: [] })));
  }
}
