import { afterEach, describe, expect, it } from '@jest/globals';

import { script } from './calls.js';
import type { RedisConnection } from './connection.js';
import { slotOf } from './slots.js';
import { connectTo } from './testing.js';

const append = script(
  `redis.call('APPEND', KEYS[1], ARGV[1]) redis.call('APPEND', KEYS[2], ARGV[1]) return redis.call('GET', KEYS[2])`,
);
let redis: RedisConnection;
afterEach(() => redis.close());

describe('a connection to a cluster', () => {
  it('reaches every node with one batch, and answers in order', async () => {
    redis = await connectTo('a cluster');
    const calls = Array.from({ length: 2_000 }, (_, index) => ({
      script: append,
      keys: [`${redis.keyPrefix}{${index}}a`, `${redis.keyPrefix}{${index}}b`] as [string, string],
      args: [`${index}.`],
    }));
    await redis.call({ command: 'SCRIPT', key: 'FLUSH', args: [] });
    expect(await redis.batch(calls)).toEqual(calls.map((_, index) => `${index}.`));
    expect(await redis.batch(calls)).toEqual(calls.map((_, index) => `${index}.${index}.`));
  });

  it('agrees with the cluster on where a key is', async () => {
    redis = await connectTo('a cluster');
    for (const key of ['a', 'parley:{s:17}:u', '{é}', 'x{}y', '{{a}}']) {
      expect(await redis.call({ command: 'CLUSTER', key: 'KEYSLOT', args: [key] })).toBe(slotOf(key));
    }
  });

  it('receives what is published to channels of every node', async () => {
    redis = await connectTo('a cluster');
    const arrived = new Set<string>();
    const all = Promise.withResolvers<void>();
    const subscriber = await redis.subscriber((channel) => {
      arrived.add(channel);
      if (arrived.size === 100) all.resolve();
    });
    const channels = Array.from({ length: 100 }, (_, index) => `${redis.keyPrefix}c${index}`);
    expect(await Promise.all(channels.map((channel) => subscriber.subscribe(channel)))).not.toContain(false);
    for (const channel of channels) await redis.publish(channel, 'a');
    await all.promise;
    await subscriber.close();
  });
});
