import { describe, expect, it } from '@jest/globals';

import { sumOf } from './prometheus.js';

const TEXT = `# HELP batch_entries Entries in one append
# TYPE batch_entries histogram
batch_entries_bucket{le="1"} 3
batch_entries_sum 12
batch_entries_count 5
drops_total{reason="slow"} 2
drops_total{reason="late"} 40
drops_total_created 1700000000
`;

describe('a metric', () => {
  it('is the sum of its series, and of no other whose name begins like its own', () => {
    expect(sumOf(TEXT, 'batch_entries_sum')).toBe(12);
    expect(sumOf(TEXT, 'drops_total')).toBe(42);
    expect(sumOf(TEXT, 'batch')).toBe(0);
  });
});
