import { describe, expect, it } from '@jest/globals';

import type { InstanceId } from '@parley/contracts';

import { RESERVATION_TTL_MS, Reservations, UNREACHABLE_MS } from './reservations.js';
import type { Instance } from './service-discovery.js';

const server = (instanceId: string, more: Partial<Instance> = {}): Instance => ({
  service: 'chat',
  instanceId: instanceId as InstanceId,
  address: 'here:1',
  region: 'here',
  version: '1',
  state: 'ready',
  capacity: 100,
  connections: 0,
  readySinceMs: -1_000_000,
  epoch: 1,
  ...more,
});

function open() {
  let nowMs = 0;
  let at = 0.5;
  const reservations = new Reservations(
    () => nowMs,
    () => (at = (at + 0.618_033_988_749_895) % 1),
  );
  /** How many of so many clients each server gets. */
  const assign = (instances: readonly Instance[], clients: number): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (let client = 0; client < clients; client += 1) {
      const id = reservations.assign(instances)?.instanceId ?? 'none';
      counts[id] = (counts[id] ?? 0) + 1;
    }
    return counts;
  };
  return { assign, reservations, pass: (ms: number) => (nowMs += ms) };
}

describe('counting what was assigned since the last report', () => {
  it('assigns no more than there is room for, by one and the same report', () => {
    const { assign } = open();
    expect(assign([server('a'), server('b', { connections: 40 })], 200)).toEqual({ a: 100, b: 60, none: 40 });
  });

  it('fills the emptier server until they are even, not the one that was emptier at the beginning', () => {
    const counts = open().assign([server('a'), server('b', { connections: 20 })], 60);
    expect(counts['a']).toBeGreaterThanOrEqual(38);
    expect(counts['a']).toBeLessThanOrEqual(42);
  });

  it('counts those who have arrived once, by the report that contains them', () => {
    const { assign, pass } = open();
    expect(assign([server('a')], 60)).toEqual({ a: 60 });
    pass(1_000);
    expect(assign([server('a', { connections: 60 })], 60)).toEqual({ a: 40, none: 20 });
  });

  it('keeps the places of those who are still on their way', () => {
    const { assign, pass } = open();
    assign([server('a')], 60);
    pass(1_000);
    expect(assign([server('a', { connections: 10 })], 60)).toEqual({ a: 40, none: 20 });
  });

  it('gives the places of those who never came to others', () => {
    const { assign, pass } = open();
    assign([server('a')], 100);
    pass(RESERVATION_TTL_MS - 200);
    expect(assign([server('a')], 1)).toEqual({ none: 1 });
    pass(300);
    expect(assign([server('a')], 1)).toEqual({ a: 1 });
  });

  it('knows nothing of a server that has started again, or was gone', () => {
    const { assign } = open();
    assign([server('a')], 100);
    expect(assign([server('a', { epoch: 2 })], 1)).toEqual({ a: 1 });
    assign([server('b')], 100);
    expect(assign([server('c')], 1)).toEqual({ c: 1 });
    expect(assign([server('b')], 1)).toEqual({ b: 1 });
  });

  it('avoids a server that could not be reached, for a while', () => {
    const { assign, reservations, pass } = open();
    const servers = [server('a', { connections: 10 }), server('b', { connections: 90 })];
    expect(assign(servers, 1)).toEqual({ a: 1 });
    reservations.unreachable('a' as InstanceId);
    expect(assign(servers, 1)).toEqual({ b: 1 });
    pass(UNREACHABLE_MS);
    expect(assign(servers, 1)).toEqual({ a: 1 });
  });

  it('assigns nothing to a server that drains', () => {
    expect(open().assign([server('a', { state: 'draining' })], 1)).toEqual({ none: 1 });
  });
});
