import { describe, expect, it } from '@jest/globals';

import { compare, figureLine, meets, TARGETS } from './targets.js';

describe('targets', () => {
  it('are met at the bound and short beyond it', () => {
    expect(meets(TARGETS['direct-rate'].standalone, 5_000)).toBe(true);
    expect(meets(TARGETS['direct-rate'].standalone, 4_999)).toBe(false);
    expect(meets(TARGETS.fetch.standalone, 15)).toBe(true);
    expect(meets(TARGETS.fetch.standalone, 15.1)).toBe(false);
  });

  it('are short when nothing could be measured', () => {
    expect(meets(TARGETS.fetch.standalone, Number.NaN)).toBe(false);
    expect(figureLine({ name: 'fetch', on: 'cluster', value: Number.NaN }, false)).toContain('SHORT');
  });

  it('stand beside the figure', () => {
    expect(figureLine({ name: 'start', on: 'standalone', value: 0.5, note: 'cold' }, true)).toBe(
      'ok     standalone  start to first acknowledged message, median: 0.50 s, target ≤ 1 s  (cold)',
    );
  });

  it('differ between one process and a cluster', () => {
    expect(compare({ name: 'fetch', on: 'standalone', value: 20 }, true)).toBe('short');
    expect(compare({ name: 'fetch', on: 'cluster', value: 20 }, true)).toBe('ok');
  });

  it('are not compared with the figures of a quick run', () => {
    expect(compare({ name: 'start', on: 'standalone', value: 0.5 }, false)).toBe('not compared');
    expect(compare({ name: 'start', on: 'standalone', value: 0.5 }, true)).toBe('ok');
  });
});
