import { describe, expect, it } from '@jest/globals';

import { byService, total, usedBetween } from './deployment.js';
import { cpuPer100kDeliveries } from './traffic.js';

const stats = (cpuSeconds: number, rssBytes = 1) => ({ cpuSeconds, rssBytes });

describe('what processes use', () => {
  it('is CPU time between two looks, and memory at the second; one that came between began at nothing', () => {
    const used = usedBetween(
      new Map([['chat-1', stats(5, 10)]]),
      new Map([
        ['chat-1', stats(7, 20)],
        ['chat-2', stats(1, 30)],
      ]),
    );
    expect([...used]).toEqual([
      ['chat-1', stats(2, 20)],
      ['chat-2', stats(1, 30)],
    ]);
    expect(total(used)).toEqual(stats(3, 50));
  });

  it('is summed by service and engine', () => {
    const processes = new Map([
      ['push-notification-1', stats(1)],
      ['chat-1', stats(2)],
      ['chat-12', stats(3)],
    ]);
    expect([...byService(processes)]).toEqual([
      ['push-notification', stats(1)],
      ['chat', stats(5, 2)],
    ]);
  });

  it('is, for a delivery, what those who deliver use', () => {
    const processes = new Map([
      ['chat-1', stats(2)],
      ['cassandra-1', stats(9)],
    ]);
    const delivers = (process: string): boolean => process === 'chat-1';
    expect(cpuPer100kDeliveries({ processes, delivered: 200_000 }, delivers)).toBe(1);
    expect(cpuPer100kDeliveries({ processes, delivered: 0 }, delivers)).toBeNaN();
  });
});
