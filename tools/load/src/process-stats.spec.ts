import { describe, expect, it } from '@jest/globals';

import { parseCpuSeconds, parseRssBytes, processStats } from './process-stats.js';

describe('process statistics', () => {
  it('reads CPU time behind any process name', () => {
    expect(parseCpuSeconds('12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0')).toBe(2);
  });

  it('reads the resident set in bytes', () => {
    expect(parseRssBytes('Name:\tx\nVmRSS:\t  2048 kB\nThreads:\t1\n')).toBe(2_097_152);
  });

  it('reads a live process', async () => {
    const stats = await processStats(process.pid);
    expect(stats.rssBytes).toBeGreaterThan(1_000_000);
    expect(stats.cpuSeconds).toBeGreaterThan(0);
  });
});
