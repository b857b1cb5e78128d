import { describe, expect, it } from '@jest/globals';
import { type DeviceId, type InstanceId, ParleyError, type UserId, type WorkspaceId } from '@parley/contracts';
import type { Instance } from '@parley/discovery';
import { ManualClock } from '@parley/service-kit';
import { newTicketKey, TicketIssuer, TicketVerifier } from '@parley/tickets';

import type { Caller } from './accounts/caller.js';
import { Assignments } from './assignment.js';

const ANN: Caller = {
  workspaceId: 'w' as WorkspaceId,
  userId: 'ann' as UserId,
  admin: false,
  scopes: null,
  familyId: 'f',
  expiresAtMs: null,
  kind: 'user',
};
const PHONE = 'phone' as DeviceId;

const server = (instanceId: string, more: Partial<Instance> = {}): Instance => ({
  service: 'chat',
  instanceId: instanceId as InstanceId,
  address: 'there:1',
  region: 'here',
  version: '1',
  state: 'ready',
  capacity: 3,
  connections: 0,
  readySinceMs: 0,
  epoch: 1,
  ...more,
});

function open(instances: readonly Instance[], random = () => 0.5) {
  const clock = new ManualClock();
  const [key, nowMs] = [newTicketKey(), () => clock.now()];
  const watch = { instances: () => instances, close: () => undefined };
  const assignments = new Assignments(watch, new TicketIssuer({ key, nowMs }), { clock, random });
  const verifier = (serverId: string) => new TicketVerifier({ key, serverId: serverId as InstanceId, nowMs });
  const refusal = (): ParleyError => {
    try {
      assignments.pick();
    } catch (error) {
      if (error instanceof ParleyError) return error;
      throw error;
    }
    throw new Error('It was assigned');
  };
  return { assignments, verifier, refusal };
}

describe('assigning a session', () => {
  it('gives a ticket that the named server takes, and says where the client came by', () => {
    const { assignments, verifier } = open([server('chat-1')]);
    const assignment = assignments.assign(ANN, PHONE, 'https://door');
    expect(assignment).toMatchObject({ url: 'https://door', path: '/v1/chat/chat-1/socket.io', serverId: 'chat-1' });
    expect(verifier('chat-1').accept(assignment.ticket)).toMatchObject({
      userId: 'ann',
      deviceId: 'phone',
      familyId: 'f',
      origin: 'https://door',
    });
  });

  it('counts what it has assigned since the last report, and refuses when nobody has room', () => {
    const { assignments, refusal } = open([server('chat-1', { connections: 1 }), server('chat-2')]);
    const counts = new Map<string, number>();
    for (let client = 0; client < 5; client += 1) {
      const { serverId } = assignments.assign(ANN, PHONE, 'https://door');
      counts.set(serverId, (counts.get(serverId) ?? 0) + 1);
    }
    expect(Object.fromEntries(counts)).toEqual({ 'chat-1': 2, 'chat-2': 3 });
    expect(refusal().code).toBe('overloaded');
  });

  it('names each of those who are refused a time of their own', () => {
    const retries = [0, 0.5, 0.999].map((drawn) => open([], () => drawn).refusal().refusal.retryAfterMs);
    expect(retries).toEqual([2_500, 5_000, 7_495]);
  });

  it('assigns nobody to a server that drains or could not be reached', () => {
    const { assignments, refusal } = open([server('chat-1', { state: 'draining' }), server('chat-2')]);
    expect(assignments.pick().instanceId).toBe('chat-2');
    assignments.unreachable('chat-2' as InstanceId);
    expect(refusal().code).toBe('overloaded');
  });
});
