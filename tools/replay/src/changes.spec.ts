import { describe, expect, it } from '@jest/globals';

import { CHANGES, changeOf } from './changes.js';
import { killPoints, seeded } from './kill-points.js';

describe('changeOf', () => {
  it('comes to every kind of change within a log, and leaves most lines alone', () => {
    const changes = Array.from({ length: 1_250 }, (_none, line) => changeOf(line)).filter((one) => one !== undefined);
    expect(changes).toHaveLength(50);
    expect(new Set(changes)).toEqual(new Set(CHANGES));
  });
});

describe('killPoints', () => {
  it('are the same for the same seed, ascending and in the middle', () => {
    const points = killPoints(5, seeded(7));
    expect(points).toEqual(killPoints(5, seeded(7)));
    expect(points).not.toEqual(killPoints(5, seeded(8)));
    expect(points).toEqual([...points].sort((a, b) => a - b));
    expect(points.every((point) => point > 0.04 && point < 0.96)).toBe(true);
  });
});
