import { describe, expect, it } from '@jest/globals';

import { byShard, shardOf, slotOf } from './slots.js';

describe('the slot of a key', () => {
  it('is the one that Redis says', () => {
    // CLUSTER KEYSLOT of each, on 7.0.15.
    const known = { '123456789': 12_739, foo: 12_182, 'parley:{a}:b': 15_495, '{}x': 10_595, '': 0, é: 10_180 };
    expect(Object.fromEntries(Object.keys(known).map((key) => [key, slotOf(key)]))).toEqual(known);
  });

  it('is that of the hash tag where there is one', () => {
    expect(slotOf('x:{u:1}:sessions')).toBe(slotOf('{u:1}'));
    expect(slotOf('a{b}{c}')).toBe(slotOf('b'));
  });
});

describe('grouping by shard', () => {
  it('loses nothing, mixes nothing, and cuts what is long', () => {
    const items = Array.from({ length: 1_000 }, (_, index) => `k${index}`);
    const groups = byShard(items, (item) => item, { shards: 4, perCall: 100 });
    expect(groups.flatMap((group) => group.items).toSorted()).toEqual(items.toSorted());
    for (const { shard, items: of } of groups) {
      expect(of.length).toBeLessThanOrEqual(100);
      expect(new Set(of.map((item) => shardOf(item, 4)))).toEqual(new Set([shard]));
    }
  });
});
