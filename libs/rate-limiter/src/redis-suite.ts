import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { RedisConnection } from '@parley/redis-client';
import { connectTo, type Kind } from '@parley/redis-client/testing';

import { rateLimiterConformance } from './conformance.js';
import { RedisRateLimiter } from './redis.js';

/** What holds on one server and on a cluster. */
export function redisSuite(kind: Kind): void {
  describe(`rate limiters of several processes in ${kind}`, () => {
    const syncEveryMs = 20;
    let connections: RedisConnection[] = [];
    let limiters: RedisRateLimiter[] = [];
    const limiter = (at: number): RedisRateLimiter => {
      const found = limiters[at];
      if (found === undefined) throw new Error('not opened');
      return found;
    };
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

    beforeEach(async () => {
      const first = await connectTo(kind);
      connections = [first, await connectTo(kind, { keyPrefix: first.keyPrefix })];
      limiters = connections.map((redis) => new RedisRateLimiter({ redis, syncEveryMs }));
    });
    afterEach(async () => {
      for (const each of limiters) await each.close();
      for (const redis of connections) await redis.close();
    });

    rateLimiterConformance(`redis on ${kind}`, async (config) => {
      const [redis] = connections;
      if (redis === undefined) throw new Error('not opened');
      // Nobody syncs in a test that runs in one turn of the loop.
      return new RedisRateLimiter({ ...config, redis, syncEveryMs: 60_000 });
    });

    it('learns what the others took', async () => {
      const spec = { perSecond: 0.001, burst: 5 };
      for (let taken = 0; taken < 5; taken += 1) expect(limiter(0).take('k', spec).ok).toBe(true);
      expect(limiter(1).take('k', spec).ok).toBe(true);
      while (limiter(1).check('k', spec).ok) await turn();
      expect(limiter(1).take('k', spec).ok).toBe(false);
    });

    it('admits with two processes what one bucket would, within the stated error', async () => {
      const spec = { perSecond: 200, burst: 20 };
      const startedMs = performance.now();
      let admitted = 0;
      let slowestMs = 0;
      let lastMs = startedMs;
      while (performance.now() - startedMs < 1_500) {
        for (const each of limiters) if (each.take('k', spec).ok) admitted += 1;
        await turn();
        slowestMs = Math.max(slowestMs, performance.now() - lastMs);
        lastMs = performance.now();
      }
      const seconds = (performance.now() - startedMs) / 1_000;
      const fair = spec.burst + spec.perSecond * seconds;
      // A round takes as long as the slowest turn of a busy machine, twice.
      const error = spec.burst + spec.perSecond * ((syncEveryMs + 2 * slowestMs + 100) / 1_000);
      expect(admitted).toBeLessThanOrEqual(fair + error);
      expect(admitted).toBeGreaterThan(fair * 0.6);
    });

    it('limits alone while the server is away', async () => {
      const [redis] = connections;
      if (redis === undefined) throw new Error('not opened');
      const alone = Promise.withResolvers<unknown>();
      const lonely = new RedisRateLimiter({ redis, syncEveryMs, onAlone: alone.resolve, nowMs: () => 0 });
      await redis.close();
      const spec = { perSecond: 10, burst: 3 };
      const takes = (): boolean[] => Array.from({ length: 4 }, () => lonely.take('k', spec).ok);
      expect(takes()).toEqual([true, true, true, false]);
      expect(await alone.promise).toMatchObject({ code: 'unavailable' });
      expect(takes()).toEqual([false, false, false, false]);
      await lonely.close();
    });
  });
}
