import { describe, expect, it } from '@jest/globals';

import { Histogram } from './histogram.js';

describe('Histogram', () => {
  it('gives quantiles within a thousandth of the exact ones', () => {
    const histogram = new Histogram();
    const values: number[] = [];
    let state = 7;
    for (let i = 0; i < 50_000; i += 1) {
      state = (state * 48_271) % 2_147_483_647;
      const value = 10 ** ((state / 2_147_483_647) * 6 - 2);
      values.push(value);
      histogram.record(value);
    }
    values.sort((a, b) => a - b);
    for (const share of [0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = values[Math.ceil(share * values.length) - 1] ?? Number.NaN;
      expect(Math.abs(histogram.quantile(share) - exact)).toBeLessThanOrEqual(exact * 0.002 + 0.001);
    }
    expect(histogram.max).toBe(values.at(-1));
  });

  it('is empty at first and takes values beyond its range', () => {
    const histogram = new Histogram();
    expect(histogram.summary()).toEqual({ count: 0, p50Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 });
    histogram.record(1e12);
    expect(histogram.count).toBe(1);
    expect(histogram.max).toBe(1e12);
  });
});
