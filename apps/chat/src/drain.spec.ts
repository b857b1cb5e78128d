import { describe, expect, it } from '@jest/globals';
import type { InstanceId } from '@parley/contracts';
import { Assignment } from '@parley/contracts';
import type { Instance } from '@parley/discovery';
import { newTicketKey, TicketIssuer, TicketVerifier } from '@parley/tickets';

import { ANN, liveSession, type Recorder, SERVER, testContext, turn } from './chat-fixture.js';
import { drain, drainMs } from './drain.js';
import { NextAssignments } from './next-assignments.js';

const ORIGIN = 'https://chat.example';
const nowhere = (): null => null;
const payloadOf = (outlet: Recorder) =>
  JSON.parse(outlet.frames[0]?.data ?? '{}') as { reconnectAfterMs: number; session?: Assignment };

describe('draining', () => {
  it('tells everyone when to come back, at a bounded rate and each at a time of their own', async () => {
    const context = testContext();
    const told = Array.from({ length: 25 }, () => liveSession(ANN));
    const draws = [0, 0.5, 0.999];
    let drawn = 0;
    const random = (): number => draws[(drawn += 1) % 3] ?? 0;
    let done = false;
    const sessions = told.map(({ session }) => session);
    const draining = drain(sessions, 100, { clock: context.clock, random }, nowhere).then(() => (done = true));
    const reached = (): number => told.filter(({ outlet }) => outlet.frames.length > 0).length;
    expect(reached()).toBe(10);
    for (const expected of [20, 25]) {
      context.clock.advance(100);
      await turn();
      expect(reached()).toBe(expected);
    }
    expect(done).toBe(false);
    context.clock.advance(200);
    await draining;
    const waits = told.map(({ outlet }) => payloadOf(outlet).reconnectAfterMs);
    expect(new Set(waits)).toEqual(new Set([200, 700, 1_199]));
    expect(payloadOf(told[0]?.outlet as Recorder)).not.toHaveProperty('session');
    expect(drainMs(25, 100)).toBe(400);
  });

  it('is done at once where nobody is', async () => {
    await drain([], 100, testContext(), nowhere);
    expect(drainMs(0, 100)).toBe(0);
  });

  it('looks for no place for those who have left meanwhile', async () => {
    const context = testContext();
    const [stays, leaves] = [liveSession(ANN), liveSession(ANN)];
    const asked: unknown[] = [];
    const draining = drain([stays.session, leaves.session], 10, context, (session) => {
      asked.push(session);
      return null;
    });
    leaves.session.ended();
    context.clock.advance(100);
    await turn();
    context.clock.advance(200);
    await draining;
    expect(asked).toEqual([stays.session]);
  });
});

describe('the next assignment', () => {
  const server = (instanceId: string, more: Partial<Instance> = {}): Instance => ({
    service: 'chat',
    instanceId: instanceId as InstanceId,
    address: 'there:1',
    region: 'here',
    version: '1',
    state: 'ready',
    capacity: 2,
    connections: 0,
    readySinceMs: 0,
    epoch: 1,
    ...more,
  });
  const open = (servers: readonly Instance[]) => {
    const context = testContext();
    const [key, nowMs] = [newTicketKey(), () => context.clock.now()];
    const next = new NextAssignments(SERVER, () => servers, new TicketIssuer({ key, nowMs }), context);
    const verifier = (serverId: string) => new TicketVerifier({ key, serverId: serverId as InstanceId, nowMs });
    return { context, next, verifier };
  };

  it('is one that the other server takes, for the same person on the same device', async () => {
    const { context, next, verifier } = open([server(SERVER), server('chat-2')]);
    const { session, outlet } = liveSession(ANN, { origin: ORIGIN, familyId: 'f', expiresAtMs: 7 });
    const draining = drain([session], 10, context, (each) => next.of(each));
    context.clock.advance(200);
    await draining;
    const assignment = Assignment.parse(payloadOf(outlet).session);
    expect(assignment).toMatchObject({ url: ORIGIN, path: '/v1/chat/chat-2/socket.io', serverId: 'chat-2' });
    expect(verifier('chat-2').accept(assignment.ticket)).toMatchObject({
      userId: ANN,
      deviceId: session.deviceId,
      origin: ORIGIN,
      familyId: 'f',
      sessionExpiresAtMs: 7,
    });
  });

  it('names the address of a server that the platform exposes itself', () => {
    const { next } = open([server('chat-2', { publicUrl: 'https://chat-2.example' })]);
    expect(next.of(liveSession(ANN, { origin: ORIGIN }).session)?.url).toBe('https://chat-2.example');
  });

  it('is none where no other server has room, its own reservations counted', () => {
    const { next } = open([
      server(SERVER),
      server('chat-2', { connections: 1 }),
      server('chat-3', { state: 'draining' }),
    ]);
    const { session } = liveSession(ANN, { origin: ORIGIN });
    expect(next.of(session)?.serverId).toBe('chat-2');
    expect(next.of(session)).toBeNull();
  });

  it('is none for streams, which find a server by themselves', () => {
    const { next } = open([server('chat-2')]);
    expect(next.of(liveSession(ANN, { origin: null }).session)).toBeNull();
  });
});
