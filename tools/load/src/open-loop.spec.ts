import { describe, expect, it } from '@jest/globals';

import { openLoop } from './open-loop.js';

describe.each([false, true])('an open loop that is sparing: %s', (sparing) => {
  it('fires every arrival in order, never before it is due, with the time at which it was', async () => {
    const fired: { readonly index: number; readonly dueMs: number; readonly earlyMs: number }[] = [];
    const count = await openLoop({
      ...{ ratePerSecond: 500, durationMs: 100, sparing },
      fire: (index, dueMs) => fired.push({ index, dueMs, earlyMs: dueMs - performance.now() }),
    });
    expect(count).toBe(50);
    expect(fired.map(({ index }) => index)).toEqual(Array.from({ length: 50 }, (_none, index) => index));
    expect(Math.max(...fired.map(({ earlyMs }) => earlyMs))).toBeLessThanOrEqual(0);
    expect(((fired[49]?.dueMs ?? 0) - (fired[0]?.dueMs ?? 0)) / 49).toBeCloseTo(2, 6);
  });
});
