import { describe, expect, it } from '@jest/globals';

import { rank } from './rendezvous.js';

const instances = Array.from({ length: 5 }, (_, index) => ({ instanceId: `routing-${index}` }));
const keys = Array.from({ length: 10_000 }, (_, index) => `c_${index}`);
const firstOf = (key: string, among: typeof instances): string => rank(key, among)[0]?.instanceId ?? '';

describe('rendezvous ranking', () => {
  it('ranks every instance, alike for everyone, in whatever order they are listed', () => {
    for (const key of keys.slice(0, 100)) {
      const ranked = rank(key, instances);
      expect(new Set(ranked)).toEqual(new Set(instances));
      expect(rank(key, instances.toReversed())).toEqual(ranked);
    }
  });

  it('spreads keys evenly, in first place and in second', () => {
    for (const place of [0, 1]) {
      const counts = new Map<string, number>();
      for (const key of keys) {
        const id = rank(key, instances)[place]?.instanceId ?? '';
        counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      for (const { instanceId } of instances) {
        expect(counts.get(instanceId)).toBeGreaterThan(1_800);
        expect(counts.get(instanceId)).toBeLessThan(2_200);
      }
    }
  });

  it('moves only the keys of an instance that leaves, each to its second, spread over the others', () => {
    const left = instances.slice(0, 4);
    const moved = keys.filter((key) => firstOf(key, instances) !== firstOf(key, left));
    expect(moved).toEqual(keys.filter((key) => firstOf(key, instances) === 'routing-4'));
    for (const key of moved) expect(firstOf(key, left)).toBe(rank(key, instances)[1]?.instanceId);
    expect(new Set(moved.map((key) => firstOf(key, left))).size).toBe(4);
  });

  it('has nobody to rank when there are no instances', () => {
    expect(rank('c_1', [])).toEqual([]);
  });
});
