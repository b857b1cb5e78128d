import { describe, expect, it } from '@jest/globals';
import { type RoomPush, seq } from '@parley/contracts';

import { ANN, BOB, CAT, CHANNEL, openServer, roomPush, turn } from './chat-fixture.js';

/** The entry that removes Bob, and entries after it, as delivery publishes them. */
const removal = (at: number): RoomPush =>
  roomPush(at, {
    event: 'member.removed',
    memberSeq: seq(at),
    prevMemberSeq: seq(0),
    removes: [BOB],
    exceptUserIds: [BOB],
  });
const after = (at: number, memberSeq: number): RoomPush =>
  roomPush(at, { memberSeq: seq(memberSeq), prevMemberSeq: seq(memberSeq) });

describe('a channel’s room', () => {
  it('gives a frame to every session of a member, but the one that has its acknowledgement', async () => {
    const { rooms, join } = await openServer();
    const [ann, annToo, bob] = [await join(ANN), await join(ANN), await join(BOB)];
    rooms.deliver(roomPush(1, { exceptSessionId: ann.session.id }));
    rooms.deliver(roomPush(2));
    expect([ann, annToo, bob].map(({ outlet }) => outlet.labels)).toEqual([
      ['message.new 2'],
      ['message.new 1', 'message.new 2'],
      ['message.new 1', 'message.new 2'],
    ]);
  });

  it('encodes a frame once for all of them', async () => {
    const { rooms, join } = await openServer();
    const [ann, bob] = [await join(ANN), await join(BOB)];
    rooms.deliver(roomPush(1));
    expect(ann.outlet.frames[0]).toBe(bob.outlet.frames[0]);
  });

  it('shows what lies before someone’s joining to them only where the history is for all', async () => {
    const { rooms, join } = await openServer();
    const bob = await join(BOB, 5);
    rooms.deliver(roomPush(3, { history: 'joined' }));
    rooms.deliver(roomPush(0, { history: 'joined', event: 'thread.updated', showsSeq: seq(4) }));
    rooms.deliver(roomPush(5, { history: 'joined' }));
    rooms.deliver(roomPush(4, { history: 'all' }));
    expect(bob.outlet.labels).toEqual(['message.new 5', 'message.new 4']);
  });

  it('passes over whom a frame excepts', async () => {
    const { rooms, join } = await openServer();
    const [ann, bob] = [await join(ANN), await join(BOB)];
    rooms.deliver(roomPush(1, { exceptUserIds: [ANN] }));
    expect([ann.outlet.labels, bob.outlet.labels]).toEqual([[], ['message.new 1']]);
  });

  it('is left with its last session, on the bus too', async () => {
    const { rooms, join, bus, received, sessions } = await openServer();
    const [ann, bob] = [await join(ANN), await join(BOB)];
    await bus.publish(`c:${CHANNEL}`, roomPush(1));
    rooms.leave(ann.session, CHANNEL);
    expect(rooms.size).toBe(1);
    sessions.remove(bob.session);
    expect(rooms.size).toBe(0);
    await bus.publish(`c:${CHANNEL}`, roomPush(2));
    expect(received).toHaveLength(1);
    expect(bob.outlet.labels).toEqual(['message.new 1']);
  });
});

describe('someone who was removed', () => {
  it('gets nothing after the entry that removed them', async () => {
    const { rooms, join, membership } = await openServer();
    const [ann, bob] = [await join(ANN), await join(BOB)];
    rooms.deliver(roomPush(1));
    rooms.deliver(removal(2));
    rooms.deliver(after(3, 2));
    expect(ann.outlet.labels).toEqual(['message.new 1', 'member.removed 2', 'message.new 3']);
    // The removal itself comes to them by name.
    expect(bob.outlet.labels).toEqual(['message.new 1']);
    expect(membership.asked).toEqual([]);
  });

  it('gets nothing also when the frame that says so was lost: the directory is asked before anything is delivered', async () => {
    const { rooms, join, membership } = await openServer();
    const [ann, bob] = [await join(ANN), await join(BOB)];
    membership.remove(BOB, 2);
    rooms.deliver(after(3, 2));
    rooms.deliver(after(4, 2));
    expect([ann.outlet.labels, bob.outlet.labels]).toEqual([[], []]);
    await turn();
    expect(ann.outlet.labels).toEqual(['message.new 3', 'message.new 4']);
    expect(bob.outlet.labels).toEqual([]);
    rooms.deliver(after(5, 2));
    expect(ann.outlet.labels).toHaveLength(3);
    expect(membership.asked).toEqual([[ANN, BOB]]);
  });

  it('gets nothing when a later change of membership came and the one that removed them did not', async () => {
    const { rooms, join, membership } = await openServer();
    const [ann, bob] = [await join(ANN), await join(BOB)];
    membership.remove(BOB, 2);
    membership.appliedSeq = seq(4);
    rooms.deliver(
      roomPush(4, { event: 'member.added', memberSeq: seq(4), prevMemberSeq: seq(2), exceptUserIds: [CAT] }),
    );
    await turn();
    expect([ann.outlet.labels, bob.outlet.labels]).toEqual([['member.added 4'], []]);
  });

  it('gets nothing while the directory cannot be asked, and neither does anyone else until it answers', async () => {
    const { rooms, join, membership, context } = await openServer();
    const [ann, bob] = [await join(ANN), await join(BOB)];
    membership.remove(BOB, 2);
    membership.failing = true;
    rooms.deliver(after(3, 2));
    await turn();
    rooms.deliver(after(4, 2));
    await turn();
    expect([ann.outlet.labels, bob.outlet.labels]).toEqual([[], []]);
    membership.failing = false;
    context.clock.advance(500);
    await turn();
    expect([ann.outlet.labels, bob.outlet.labels]).toEqual([['message.new 3', 'message.new 4'], []]);
  });

  it('is dropped for good when the directory does not answer for half a minute; the next frame asks again', async () => {
    const { rooms, join, membership, context } = await openServer();
    const ann = await join(ANN);
    membership.remove(BOB, 2);
    membership.failing = true;
    rooms.deliver(after(3, 2));
    for (let attempt = 0; attempt < 60; attempt += 1) {
      await turn();
      context.clock.advance(500);
    }
    for (let turns = 0; turns < 5; turns += 1) await turn();
    membership.failing = false;
    rooms.deliver(after(5, 2));
    await turn();
    expect(ann.outlet.labels).toEqual(['message.new 5']);
  });

  it('gets nothing when the directory’s answer is older than what was asked for', async () => {
    const { rooms, join, membership } = await openServer();
    const bob = await join(BOB);
    rooms.deliver(after(3, 2));
    await turn();
    expect([bob.outlet.labels, membership.asked]).toEqual([[], [[BOB]]]);
  });

  it('gets nothing though a session of theirs opens by an older list of channels', async () => {
    const { rooms, join, membership } = await openServer();
    await join(ANN);
    membership.remove(BOB, 2);
    rooms.deliver(removal(2));
    // Asked for before the removal was applied, answered after the room had moved on.
    const late = await join(BOB, 0, 0);
    rooms.deliver(after(3, 2));
    await turn();
    expect(late.outlet.labels).toEqual([]);
  });
});

describe('while members are being checked', () => {
  it('those who join get what is delivered after', async () => {
    const { rooms, join, membership } = await openServer([ANN, BOB, CAT]);
    const gate = Promise.withResolvers<void>();
    await join(ANN);
    membership.remove(BOB, 2);
    membership.gate = gate.promise;
    rooms.deliver(after(3, 2));
    const cat = await join(CAT, 0, 2);
    gate.resolve();
    await turn();
    expect(cat.outlet.labels).toEqual(['message.new 3']);
    rooms.deliver(after(4, 2));
    expect(cat.outlet.labels).toEqual(['message.new 3', 'message.new 4']);
  });

  it('those who join by an older list are checked in turn', async () => {
    const { rooms, join, membership } = await openServer();
    const gate = Promise.withResolvers<void>();
    const ann = await join(ANN);
    membership.remove(BOB, 2);
    membership.gate = gate.promise;
    rooms.deliver(after(3, 2));
    const bob = await join(BOB, 0, 0);
    gate.resolve();
    await turn();
    rooms.deliver(after(4, 2));
    await turn();
    expect(bob.outlet.labels).toEqual([]);
    expect(ann.outlet.labels).toEqual(['message.new 3', 'message.new 4']);
  });

  it('someone who is added again meanwhile stays', async () => {
    const { rooms, join, membership, sessions } = await openServer();
    const gate = Promise.withResolvers<void>();
    await join(ANN);
    const bob = await join(BOB);
    membership.remove(BOB, 2);
    membership.gate = gate.promise;
    rooms.deliver(after(3, 2));
    // The answer is on its way when Bob is added at 4, by name.
    membership.intervals.get(BOB)?.push({ role: 'member', joinedSeq: seq(4), leftSeq: null });
    membership.appliedSeq = seq(4);
    await sessions.push([
      {
        workspaceId: bob.session.workspaceId,
        userIds: [BOB],
        frames: [],
        receivedAtMs: 0,
        room: { op: 'join', channel: { conversationId: CHANNEL, joinedSeq: seq(4), appliedSeq: seq(4) } },
      },
    ]);
    gate.resolve();
    await turn();
    rooms.deliver(roomPush(5, { memberSeq: seq(4), prevMemberSeq: seq(4), history: 'joined' }));
    await turn();
    expect(bob.outlet.labels).toContain('message.new 5');
  });

  it('what waits is bounded, and the oldest goes', async () => {
    const { rooms, join, membership } = await openServer();
    const gate = Promise.withResolvers<void>();
    const ann = await join(ANN);
    membership.remove(BOB, 2);
    membership.gate = gate.promise;
    for (let at = 3; at <= 1_010; at += 1) rooms.deliver(after(at, 2));
    gate.resolve();
    await turn();
    expect(ann.outlet.frames).toHaveLength(1_000);
    expect(ann.outlet.labels.at(0)).toBe('message.new 11');
    expect(ann.outlet.labels.at(-1)).toBe('message.new 1010');
  });
});
