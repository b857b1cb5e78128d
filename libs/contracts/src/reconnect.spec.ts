import { describe, expect, it } from '@jest/globals';

import { reconnectDelayMs } from './reconnect.js';

const range = (attempt: number) => [reconnectDelayMs(attempt, () => 0), reconnectDelayMs(attempt, () => 0.999_999)];

describe('the time until a client reconnects', () => {
  it('doubles with each attempt, give or take half of it', () => {
    expect([0, 1, 2, 5].map(range)).toEqual([
      [500, 1_500],
      [1_000, 3_000],
      [2_000, 6_000],
      [16_000, 48_000],
    ]);
  });

  it('is never longer than a minute, and never the same for all', () => {
    for (const attempt of [6, 7, 100, 5_000]) expect(range(attempt)).toEqual([20_000, 60_000]);
  });
});
