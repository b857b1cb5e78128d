import { describe, expect, it } from '@jest/globals';

import { describeReconnect, type ReconnectScenario, simulateReconnect } from './reconnect-simulation.js';

/** mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const scenario = (change: Partial<ReconnectScenario> = {}): ReconnectScenario => ({
  clients: 50_000,
  servers: [1, 2, 3].map(() => ({ capacity: 60_000, connections: 40_000 })),
  gateways: 3,
  handshakesPerSecond: 2_000,
  assignmentsPerSecond: 3_000,
  random: seeded(7),
  ...change,
});

describe('50,000 clients that lose their server', () => {
  it('are all back within half a minute where there is room, and never more than the others take', () => {
    const outcome = simulateReconnect(scenario());
    expect(outcome.connected).toBe(50_000);
    expect(outcome.highestFill).toBeLessThanOrEqual(1);
    // Three servers open 200 sessions each in a tenth of a second.
    expect(outcome.peakPer100Ms).toBeLessThanOrEqual(603);
    expect(outcome.allBackAfterMs).toBeLessThan(30_000);
    expect(describeReconnect(outcome)).toContain('all 50000 back');
  });

  it('are all back, later, where there is hardly room', () => {
    const servers = [1, 2, 3].map(() => ({ capacity: 56_700, connections: 40_000 }));
    const outcome = simulateReconnect(scenario({ servers }));
    expect(outcome.connected).toBe(50_000);
    expect(outcome.highestFill).toBeLessThanOrEqual(1);
    expect(outcome.allBackAfterMs).toBeLessThan(60_000);
  });

  it('fill servers of different size and load, and none beyond its capacity', () => {
    const servers = [
      { capacity: 100_000, connections: 10_000 },
      { capacity: 20_000, connections: 19_500 },
      { capacity: 30_000, connections: 5_000 },
      { capacity: 10_000, connections: 0 },
    ];
    const outcome = simulateReconnect(scenario({ servers, gateways: 8, clients: 20_000 }));
    expect(outcome.connected).toBe(20_000);
    expect(outcome.highestFill).toBeLessThanOrEqual(1);
  });

  it('are seldom sent to full or dead servers, because gateways count what they assign and where it failed', () => {
    const servers = [1, 2, 3, 4].map(() => ({ capacity: 52_520, connections: 40_000 }));
    const fast = { servers, gateways: 8, handshakesPerSecond: 5_000, assignmentsPerSecond: 10_000 };
    const counting = simulateReconnect(scenario(fast));
    const forgetful = simulateReconnect(scenario({ ...fast, reserve: false }));
    expect(counting.highestFill).toBeLessThanOrEqual(1);
    expect(counting.refusedByServers).toBeLessThan(forgetful.refusedByServers / 4);
    expect(counting.sentToTheDead).toBeLessThan(forgetful.sentToTheDead / 100);
    expect(counting.allBackAfterMs).toBeLessThan(forgetful.allBackAfterMs);
  });
});
