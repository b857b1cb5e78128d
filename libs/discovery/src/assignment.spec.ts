import { describe, expect, it } from '@jest/globals';

import type { InstanceId } from '@parley/contracts';

import { assignChatServer, SLOW_START_MS } from './assignment.js';
import type { Instance } from './service-discovery.js';

const NOW_MS = 10 * SLOW_START_MS;

function server(instanceId: string, more: Partial<Instance> = {}): Instance {
  return {
    service: 'chat',
    instanceId: instanceId as InstanceId,
    address: `${instanceId}:1`,
    region: 'here',
    version: '1',
    state: 'ready',
    capacity: 1_000,
    connections: 0,
    readySinceMs: 0,
    epoch: 1,
    ...more,
  };
}

/** Evenly spread numbers, the same in every run. */
function sequence(): () => number {
  let at = 0.5;
  return () => (at = (at + 0.618_033_988_749_895) % 1);
}

function assign(instances: readonly Instance[], random: () => number = sequence(), nowMs = NOW_MS): string | null {
  return assignChatServer(instances, { nowMs, random })?.instanceId ?? null;
}

/** Connects clients one after the other, each counted at once. */
function connect(servers: Instance[], clients: number): Record<string, number> {
  const random = sequence();
  for (let client = 0; client < clients; client += 1) {
    const id = assign(servers, random);
    const index = servers.findIndex(({ instanceId }) => instanceId === id);
    const chosen = servers[index];
    if (chosen !== undefined) servers[index] = { ...chosen, connections: (chosen.connections ?? 0) + 1 };
  }
  return Object.fromEntries(servers.map(({ instanceId, connections = 0 }) => [instanceId, connections]));
}

describe('assigning a chat server', () => {
  it('takes the less loaded of the two that were drawn', () => {
    const servers = [server('busy', { connections: 500 }), server('idle', { connections: 100 })];
    for (const first of [0, 0.99]) expect(assign(servers, () => first)).toBe('idle');
  });

  it('assigns to servers that are ready and have room only', () => {
    const servers = [
      server('draining', { state: 'draining' }),
      server('starting', { state: 'starting' }),
      server('full', { connections: 1_000 }),
      server('last', { connections: 999 }),
    ];
    expect(assign(servers)).toBe('last');
    expect(assign(servers.slice(0, 3))).toBeNull();
    expect(assign([])).toBeNull();
  });

  it('fills servers by their capacity', () => {
    const connections = connect([server('large', { capacity: 3_000 }), server('small', { capacity: 1_000 })], 2_000);
    expect(connections['large']).toBeGreaterThan(1_400);
    expect(connections['large']).toBeLessThan(1_600);
  });

  it('brings clients to a new server slowly, more as it warms up', () => {
    const share = (readyForMs: number): number => {
      const fresh = server('new', { readySinceMs: NOW_MS - readyForMs });
      return connect([server('a'), server('b'), server('c'), fresh], 300)['new'] ?? 0;
    };
    const [cold, warmer, warm] = [share(0), share(SLOW_START_MS / 2), share(SLOW_START_MS)];
    expect(cold).toBeLessThan(20);
    expect(warmer).toBeGreaterThan(cold);
    expect(warm).toBeGreaterThan(warmer);
    expect(warm).toBeGreaterThan(60);
  });

  it('does not call a new server full while it is alone', () => {
    expect(assign([server('new', { readySinceMs: NOW_MS, connections: 500 })])).toBe('new');
  });
});
