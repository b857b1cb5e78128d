import { describe, expect, it } from '@jest/globals';

import { markerOf, textOf } from './marker.js';
import { held, highestHeld, type TrafficResult } from './traffic.js';

const latency = (p99Ms: number) => ({ count: 1, p50Ms: 1, p99Ms, p999Ms: p99Ms, maxMs: p99Ms });
const stats = { cpuSeconds: 1, rssBytes: 1 };

function result(ratePerSecond: number, p99Ms: number, more: Partial<TrafficResult> = {}): TrafficResult {
  return {
    ...{ ratePerSecond, durationMs: 1_000, sent: 10, acknowledged: 10, expected: 20, delivered: 20 },
    ...{ ack: latency(1), delivery: latency(p99Ms), last: latency(p99Ms), server: stats, generator: stats },
    processes: new Map([['server', stats]]),
    ...more,
  };
}
const bound = { of: 'delivery', p99Ms: 250 } as const;

describe('markerOf', () => {
  const frame = (text: string) =>
    Buffer.from(
      `xx42["message.new",{"seq":9,"content":{"type":"text","text":"${text}"}}]42["message.new",{"content":{"text":"#3.8#"`,
    );
  const lengthOf = (text: string) => frame(text).indexOf(']') + 1;

  it('finds the index of a message of the run, and only of the run', () => {
    const text = textOf(3, 1_207);
    expect(text).toHaveLength(200);
    expect(markerOf(frame(text), 2, lengthOf(text), 3)).toBe(1_207);
    expect(markerOf(frame(text), 2, lengthOf(text), 4)).toBe(-1);
  });

  it('does not look behind the frame', () => {
    expect(markerOf(frame('hello'), 2, lengthOf('hello'), 3)).toBe(-1);
    expect(markerOf(Buffer.from('42["typing.start",{}]'), 0, 21, 3)).toBe(-1);
  });
});

describe('held', () => {
  it('is everything acknowledged and delivered below the bound', () => {
    expect(held(result(100, 249), bound)).toBe(true);
    expect(held(result(100, 250), bound)).toBe(false);
    expect(held(result(100, 1, { acknowledged: 9 }), bound)).toBe(false);
    expect(held(result(100, 1, { delivered: 19 }), bound)).toBe(false);
  });
});

describe('highestHeld', () => {
  it('goes up to the first rate that fails twice', async () => {
    const tried: number[] = [];
    const bad = [2, 3, 3];
    const best = await highestHeld(
      [1, 2, 3, 4],
      (rate) => {
        tried.push(rate);
        const failed = bad[0] === rate;
        if (failed) bad.shift();
        return Promise.resolve(result(rate, failed ? 999 : 1));
      },
      (one) => held(one, bound),
    );
    expect(best?.ratePerSecond).toBe(2);
    expect(tried).toEqual([1, 2, 2, 3, 3]);
  });

  it('is nothing when not even the first is held', async () => {
    const best = await highestHeld(
      [1],
      () => Promise.resolve(result(1, 999)),
      (one) => held(one, bound),
    );
    expect(best).toBeUndefined();
  });
});
