import { afterEach, describe, expect, it } from '@jest/globals';

import { script } from './calls.js';
import { connectRedis, type RedisConnection } from './connection.js';
import { connectTo, placeOf, Way } from './testing.js';

const count = script(`return redis.call('INCRBY', KEYS[1], ARGV[1])`);
const opened: { close(): Promise<void> }[] = [];
const keep = <T extends { close(): Promise<void> }>(what: T): T => {
  opened.unshift(what);
  return what;
};
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

const get = (redis: RedisConnection, name: string) =>
  redis.call({ command: 'GET', key: redis.keyPrefix + name, args: [] });
const set = (redis: RedisConnection, name: string, value: string) =>
  redis.call({ command: 'SET', key: redis.keyPrefix + name, args: [value, 'PX', 60_000] });
const restored = async (redis: RedisConnection): Promise<void> => {
  for (;;) {
    const answer = await get(redis, 'x').catch((error: unknown) => error);
    if (!(answer instanceof Error)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
};

describe('a connection to one server', () => {
  const url = (): string => {
    const place = placeOf('one server');
    return 'url' in place ? place.url : '';
  };
  const away = { code: 'unavailable' };

  it('answers a batch in order, and runs scripts that the server does not know yet or any more', async () => {
    const redis = keep(await connectTo('one server'));
    const calls = Array.from({ length: 300 }, (_, index) => ({
      script: count,
      keys: [`${redis.keyPrefix}{${index % 7}}n`] as const,
      args: [1],
    }));
    const first = await redis.batch(calls);
    expect(first[299]).toBe(43);
    await redis.call({ command: 'SCRIPT', key: 'FLUSH', args: [] });
    expect((await redis.batch(calls))[299]).toBe(86);
  });

  it('fails at once when the server goes, and serves again by itself when it is back', async () => {
    const way = keep(await Way.to(url()));
    const states: boolean[] = [];
    const redis = keep(
      await connectRedis({ url: way.url, commandTimeoutMs: 300, onReachable: (reachable) => states.push(reachable) }),
    );
    await set(redis, 'x', '1');
    const inFlight = get(redis, 'x');
    way.cut();
    await expect(inFlight).rejects.toMatchObject(away);
    await expect(get(redis, 'x')).rejects.toMatchObject(away);
    way.restore();
    await restored(redis);
    expect(states).toEqual([false, true]);
  });

  it('fails in time when the server is silent, then at once, and serves again when it speaks', async () => {
    const way = keep(await Way.to(url()));
    const redis = keep(await connectRedis({ url: way.url, commandTimeoutMs: 200 }));
    way.silence();
    const startedMs = performance.now();
    await expect(get(redis, 'x')).rejects.toMatchObject(away);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    while (redis.reachable) await new Promise((resolve) => setImmediate(resolve));
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    way.restore();
    await restored(redis);
  });

  it('says what it is and where nobody answers', async () => {
    const way = await Way.to(url());
    const address = way.url;
    await way.close();
    const failing = connectRedis({ url: address, connectTimeoutMs: 200 });
    await expect(failing).rejects.toThrow(
      `Redis at ${new URL(address).host} could not be reached: connect ECONNREFUSED`,
    );
  });

  it('subscribes again after its connection was ended', async () => {
    const way = keep(await Way.to(url()));
    const redis = keep(await connectTo('one server'));
    const near = keep(await connectRedis({ url: way.url, keyPrefix: redis.keyPrefix, commandTimeoutMs: 300 }));
    const received: string[] = [];
    let check = (): void => undefined;
    const subscriber = keep(
      await near.subscriber((channel, message) => {
        received.push(`${channel} ${message.toString()}`);
        check();
      }),
    );
    const channels = Array.from({ length: 1_200 }, (_, index) => `${redis.keyPrefix}c${index}`);
    expect(await Promise.all(channels.map((channel) => subscriber.subscribe(channel)))).not.toContain(false);
    way.cut();
    while (await subscriber.subscribe(channels[0] ?? '')) await new Promise((resolve) => setImmediate(resolve));
    way.restore();
    for (const channel of channels) while (!(await subscriber.subscribe(channel))) await restored(near);
    subscriber.unsubscribe(channels[0] ?? '');
    const all = new Promise<void>((resolve) => {
      check = () => received.length === channels.length - 1 && resolve();
    });
    for (const channel of channels) await redis.publish(channel, Buffer.from('a'));
    await all;
    expect(new Set(received).size).toBe(channels.length - 1);
    expect(received).not.toContain(`${channels[0]} a`);
  });
});
