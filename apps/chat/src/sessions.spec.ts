import { describe, expect, it } from '@jest/globals';
import {
  DEFAULT_WORKSPACE,
  seq,
  type SessionId,
  type UserId,
  type UserPush,
  type WorkspaceId,
} from '@parley/contracts';

import { ANN, BOB, CHANNEL, liveSession, newSession, openServer, Recorder, roomPush, SERVER } from './chat-fixture.js';
import { EncodedFrame } from './encoded-frame.js';
import { Session } from './session.js';
import { REGISTRY_REFRESH_MS } from './sessions.js';

const frame = (event: 'message.new' | 'session.ready', at = 1) =>
  new EncodedFrame({ event, data: JSON.stringify({ seq: at }) });
const push = (change: Partial<UserPush> = {}): UserPush => ({
  workspaceId: DEFAULT_WORKSPACE,
  userIds: [ANN],
  frames: [{ event: 'message.new', data: '{"seq":1}' }],
  receivedAtMs: 0,
  ...change,
});

describe('a session', () => {
  it('holds what comes while it opens until it is ready, and then keeps the order', () => {
    const { session, outlet } = newSession(ANN);
    session.deliver(frame('message.new', 1));
    session.deliver(frame('message.new', 2));
    expect(outlet.frames).toEqual([]);
    session.ready(frame('session.ready', 0));
    session.deliver(frame('message.new', 3));
    expect(outlet.labels).toEqual(['session.ready 0', 'message.new 1', 'message.new 2', 'message.new 3']);
    session.ready(frame('session.ready', 9));
    expect(outlet.frames).toHaveLength(4);
  });

  it('holds a bounded number, the first', () => {
    const { session, outlet } = newSession(ANN);
    for (let at = 1; at <= 1_001; at += 1) session.deliver(frame('message.new', at));
    session.ready(null);
    expect([outlet.labels.length, outlet.labels.at(-1)]).toEqual([1_000, 'message.new 1000']);
  });

  it('delivers nothing after it closed, but the last word before it does', () => {
    const { session, outlet } = liveSession(ANN);
    session.close(4001, frame('message.new', 1));
    session.deliver(frame('message.new', 2));
    session.close(1012);
    session.ready(null);
    expect([outlet.labels, outlet.closed, session.phase]).toEqual([['message.new 1'], 4001, 'closed']);
  });

  it('delivers nothing when the transport went away by itself, and closes nothing', () => {
    const { session, outlet } = newSession(ANN);
    session.deliver(frame('message.new', 1));
    session.ended();
    session.ready(null);
    session.close(1012);
    expect([outlet.frames, outlet.closed]).toEqual([[], undefined]);
  });

  it('has to go at the tenth refusal within a minute', () => {
    const { session } = liveSession(ANN);
    const at = (second: number) => session.misbehaved(second * 1_000);
    expect([0, 1, 2, 3, 4, 5, 6, 7, 8].map(at)).toEqual(Array.from({ length: 9 }, () => false));
    expect(at(60)).toBe(false);
    expect(at(60.5)).toBe(true);
  });
});

describe('the sessions of a server', () => {
  it('are reached by name, all of a user’s, and it is said whom that reached', async () => {
    const { sessions } = await openServer();
    const [one, two, bob] = [liveSession(ANN), liveSession(ANN), liveSession(BOB)];
    for (const { session } of [one, two, bob]) await sessions.add(session);
    const reached = await sessions.push([
      push({ userIds: [ANN, 'nobody' as typeof ANN] }),
      push({ exceptSessionId: two.session.id }),
      push({ workspaceId: 'other' as WorkspaceId }),
      push({ userIds: [BOB, ANN], frames: [] }),
    ]);
    expect(reached).toEqual([[ANN], [ANN], [], [BOB, ANN]]);
    expect([one, two, bob].map(({ outlet }) => outlet.frames.length)).toEqual([2, 1, 0]);
  });

  it('are not reached once they are gone, and the others of the user still are', async () => {
    const { sessions } = await openServer();
    const [one, two, three] = [liveSession(ANN), liveSession(ANN), liveSession(ANN)];
    for (const { session } of [one, two, three]) await sessions.add(session);
    sessions.remove(one.session);
    sessions.remove(one.session);
    await sessions.push([push()]);
    sessions.remove(three.session);
    await sessions.push([push()]);
    sessions.remove(two.session);
    expect(await sessions.push([push()])).toEqual([[]]);
    expect([one, two, three].map(({ outlet }) => outlet.frames.length)).toEqual([0, 2, 1]);
    expect(sessions.count).toBe(0);
  });

  it('join a room before the frames of a push and leave it after them', async () => {
    const { sessions, rooms, context } = await openServer();
    const ann = liveSession(ANN);
    await sessions.add(ann.session);
    const channel = { conversationId: CHANNEL, joinedSeq: seq(0), appliedSeq: seq(0) };
    await sessions.push([push({ room: { op: 'join', channel } })]);
    rooms.deliver(roomPush(2));
    const left = sessions.push([push({ room: { op: 'leave', conversationId: CHANNEL, asOf: seq(3) } })]);
    // The room's own frame of that entry was lost: it is not waited for much longer.
    context.clock.advance(500);
    await left;
    rooms.deliver(roomPush(4));
    expect(ann.outlet.labels).toEqual(['message.new 1', 'message.new 2', 'message.new 1']);
  });

  it('of someone who is removed get what their room had before, though the call was quicker', async () => {
    const { sessions, rooms, join } = await openServer();
    const ann = await join(ANN);
    await sessions.add(ann.session);
    const removal = sessions.push([
      push({
        room: { op: 'leave', conversationId: CHANNEL, asOf: seq(3) },
        frames: [{ event: 'member.removed', data: '{"seq":3}' }],
      }),
    ]);
    await new Promise((resolve) => setImmediate(resolve));
    rooms.deliver(roomPush(2));
    expect(ann.outlet.labels).toEqual(['message.new 2']);
    rooms.deliver({ ...roomPush(3), exceptUserIds: [ANN], removes: [ANN] });
    await removal;
    rooms.deliver(roomPush(4));
    expect(ann.outlet.labels).toEqual(['message.new 2', 'member.removed 3']);
  });

  it('are in the registry, with the server’s epoch, while they live', async () => {
    const { sessions, registry, context } = await openServer();
    const { session } = liveSession(ANN);
    sessions.start();
    await sessions.add(session);
    const find = async () => (await registry.lookup(DEFAULT_WORKSPACE, [ANN])).get(ANN);
    expect(await find()).toEqual([
      { workspaceId: DEFAULT_WORKSPACE, userId: ANN, deviceId: 'd', sessionId: session.id, serverId: SERVER, epoch: 1 },
    ]);
    for (let refreshes = 0; refreshes < 6; refreshes += 1) context.clock.advance(REGISTRY_REFRESH_MS);
    expect(await find()).toHaveLength(1);
    sessions.remove(session);
    expect(await find()).toBeUndefined();
    sessions.stop();
  });

  it('are told again to a registry that came back empty', async () => {
    const { sessions, registry, context, server } = await openServer();
    const { session } = liveSession(ANN);
    sessions.start();
    await sessions.add(session);
    sessions.refresh();
    const { workspaceId, userId } = session;
    await registry.remove(server.serverId, [{ workspaceId, userId, sessionId: session.id }]);
    const marker = server.serverId as string;
    await registry.remove(server.serverId, [
      { workspaceId: DEFAULT_WORKSPACE, userId: marker as UserId, sessionId: marker as SessionId },
    ]);
    context.clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect((await registry.lookup(DEFAULT_WORKSPACE, [ANN])).get(ANN)).toHaveLength(1);
    sessions.stop();
  });

  it('end with the sign-in that opened them: they hear why, and close', async () => {
    const { sessions } = await openServer();
    const [phone, laptop, key] = [
      liveSession(ANN, { familyId: 'f1' }),
      liveSession(ANN, { familyId: 'f2' }),
      liveSession(ANN),
    ];
    for (const { session } of [phone, laptop, key]) await sessions.add(session);
    sessions.end(ANN, 'f1', 'unauthenticated');
    expect([phone, laptop, key].map(({ outlet }) => outlet.closed)).toEqual([4001, undefined, undefined]);
    expect(phone.outlet.frames.map(({ event, data }) => [event, data])).toEqual([
      ['session.expired', '{"code":"unauthenticated"}'],
    ]);
    sessions.end(ANN, null, 'forbidden');
    expect([laptop, key].map(({ outlet }) => outlet.closed)).toEqual([4001, 4001]);
    expect(sessions.count).toBe(0);
  });

  it('close when their token expires, within a second', async () => {
    const { sessions, context } = await openServer();
    const now = context.clock.now();
    const [soon, never] = [liveSession(ANN, { expiresAtMs: now + 5_000 }), liveSession(BOB)];
    for (const { session } of [soon, never]) await sessions.add(session);
    sessions.start();
    context.clock.advance(4_000);
    expect(soon.outlet.closed).toBeUndefined();
    context.clock.advance(1_000);
    expect([soon.outlet.closed, never.outlet.closed]).toEqual([4001, undefined]);
    expect(soon.outlet.frames[0]?.data).toBe('{"code":"token_expired"}');
    sessions.stop();
  });

  it('share one encoding of a frame', async () => {
    const { sessions } = await openServer();
    const outlets = [new Recorder(), new Recorder()];
    for (const [index, outlet] of outlets.entries()) {
      const identity = { workspaceId: DEFAULT_WORKSPACE, userId: ANN, deviceId: 'd', sessionId: `x${index}` };
      const session = new Session({ ...identity, familyId: null, expiresAtMs: null } as never, outlet, 0);
      session.ready(null);
      await sessions.add(session);
    }
    await sessions.push([push()]);
    expect(outlets[0]?.frames[0]).toBe(outlets[1]?.frames[0]);
  });
});

describe('an encoded frame', () => {
  it('is a packet of Socket.IO, an event of an event stream and a frame of WebSocket, the last made once', () => {
    const encoded = new EncodedFrame({ event: 'message.new', data: '{"text":"é"}' });
    expect(encoded.packet).toBe('2["message.new",{"text":"é"}]');
    expect(encoded.eventStream('a~b~1')).toBe('event: message.new\ndata: {"text":"é"}\nid: a~b~1\n\n');
    const bytes = encoded.webSocket;
    expect(encoded.webSocket).toBe(bytes);
    // FIN and text; a length below 126; the payload unmasked.
    expect([bytes[0], bytes[1]]).toEqual([0x81, bytes.length - 2]);
    expect(bytes.subarray(2).toString()).toBe(`4${encoded.packet}`);
  });

  it('has the longer lengths of RFC 6455 where it needs them', () => {
    const ofSize = (size: number) =>
      new EncodedFrame({ event: 'message.new', data: `"${'x'.repeat(size)}"` }).webSocket;
    expect([ofSize(300)[1], ofSize(70_000)[1]]).toEqual([126, 127]);
    expect(ofSize(300).readUInt16BE(2)).toBe(ofSize(300).length - 4);
    expect(Number(ofSize(70_000).readBigUInt64BE(2))).toBe(ofSize(70_000).length - 10);
  });
});
