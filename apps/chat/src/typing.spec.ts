import { describe, expect, it } from '@jest/globals';
import {
  type ConversationId,
  DEFAULT_WORKSPACE,
  type InstanceId,
  type UserId,
  type WorkspaceId,
} from '@parley/contracts';
import { openFrameBus, type Room } from '@parley/frame-bus';
import { ManualClock } from '@parley/service-kit';

import { ANN, BOB, CAT, CHANNEL, liveSession, Membership, turn } from './chat-fixture.js';
import { TypingIndicator } from './typing.js';

async function open(type: 'group' | 'channel' = 'channel') {
  const clock = new ManualClock();
  const bus = await openFrameBus({ adapter: 'in-process' });
  const membership = new Membership([ANN, BOB]);
  membership.type = type;
  const told: string[] = [];
  const member = await bus.attach('chat-1' as InstanceId, (room, { frames, exceptUserIds }) => {
    for (const { event, data } of frames) {
      const { userId } = JSON.parse(data) as { userId: string };
      told.push(`${room} ${event} ${userId} not ${(exceptUserIds ?? []).join()}`);
    }
  });
  for (const room of [`c:${CHANNEL}`, 'u:ann', 'u:bob', 'u:cat'] as Room[]) await member.join(room);
  const typing = new TypingIndicator(membership.link, bus, clock);
  return { clock, membership, told, typing };
}
const START = 'c:c1 typing.start ann not ann';
const STOP = 'c:c1 typing.stop ann not ann';

describe('typing', () => {
  it('is told to the room, once in three seconds and person', async () => {
    const { clock, told, typing } = await open();
    const { session } = liveSession(ANN);
    await typing.start(session, CHANNEL);
    clock.advance(2_999);
    await typing.start(session, CHANNEL);
    expect(told).toEqual([START]);
    clock.advance(1);
    await typing.start(session, CHANNEL);
    expect(told).toEqual([START, START]);
    await typing.start(liveSession(BOB).session, CHANNEL);
    expect(told.at(-1)).toBe('c:c1 typing.start bob not bob');
  });

  it('stops by itself six seconds after the last start', async () => {
    const { clock, told, typing } = await open();
    const { session } = liveSession(ANN);
    await typing.start(session, CHANNEL);
    clock.advance(2_000);
    await typing.start(session, CHANNEL);
    clock.advance(5_999);
    expect(told).toEqual([START]);
    clock.advance(1);
    await turn();
    expect(told).toEqual([START, STOP]);
    clock.advance(60_000);
    expect(told).toHaveLength(2);
  });

  it('stops when told to, once', async () => {
    const { clock, told, typing } = await open();
    const { session } = liveSession(ANN);
    await typing.start(session, CHANNEL);
    await typing.stop(session, CHANNEL);
    await typing.stop(session, CHANNEL);
    clock.advance(10_000);
    expect(told).toEqual([START, STOP]);
  });

  it('is not told more often by stopping in between', async () => {
    const { clock, told, typing } = await open();
    const { session } = liveSession(ANN);
    for (let times = 0; times < 5; times += 1) {
      await typing.start(session, CHANNEL);
      await typing.stop(session, CHANNEL);
    }
    expect(told).toEqual([START, STOP]);
    clock.advance(3_000);
    await typing.start(session, CHANNEL);
    expect(told).toEqual([START, STOP, START]);
  });

  it('is told by name in groups, to the others who are members now', async () => {
    const { told, typing, membership } = await open('group');
    membership.intervals.set(CAT, [{ role: 'member', joinedSeq: 0 as never, leftSeq: null }]);
    membership.remove(BOB, 2);
    await typing.start(liveSession(ANN).session, CHANNEL);
    expect(told).toEqual(['u:cat typing.start ann not ann']);
  });

  it('is nothing that strangers, former members or people of other workspaces can do', async () => {
    for (const type of ['group', 'channel'] as const) {
      const { told, typing, membership } = await open(type);
      membership.remove(BOB, 2);
      const sessions = [liveSession(CAT), liveSession(BOB), liveSession(ANN, { workspaceId: 'other' as WorkspaceId })];
      for (const { session } of sessions) {
        await expect(typing.start(session, CHANNEL)).rejects.toMatchObject({ code: 'not_found' });
        await expect(typing.stop(session, CHANNEL)).rejects.toMatchObject({ code: 'not_found' });
      }
      const { session } = liveSession('ann' as UserId, { workspaceId: DEFAULT_WORKSPACE });
      await expect(typing.start(session, 'c9' as ConversationId)).rejects.toMatchObject({ code: 'not_found' });
      expect(told).toEqual([]);
    }
  });

  it('is silent once it was closed', async () => {
    const { clock, told, typing } = await open();
    await typing.start(liveSession(ANN).session, CHANNEL);
    typing.close();
    clock.advance(60_000);
    expect(told).toEqual([START]);
  });
});
