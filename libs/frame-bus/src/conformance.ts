import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { type ConversationId, DEFAULT_WORKSPACE, type InstanceId, seq } from '@parley/contracts';

import type { FrameBus, FrameBusMember, Room, RoomFrame } from './frame-bus.js';

export interface ConformanceSubject {
  readonly bus: FrameBus;
  close(): Promise<void>;
}

/** A chat server's end of the bus: what it received, and a promise for when that is enough. */
class Server {
  readonly received: (readonly [room: Room, data: string])[] = [];
  #check: (() => void) | null = null;

  constructor(readonly id: InstanceId) {}

  readonly receive = (room: Room, frame: RoomFrame): void => {
    this.received.push([room, frame.frames.map(({ data }) => data).join()]);
    this.#check?.();
  };

  until(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#check = () => {
        if (this.received.length >= count) resolve();
      };
      this.#check();
    });
  }
}

function frame(data: string, more: Partial<RoomFrame> = {}): RoomFrame {
  return {
    workspaceId: DEFAULT_WORKSPACE,
    conversationId: 'c_1' as ConversationId,
    history: 'all',
    frames: [{ event: 'message.new', data }],
    seq: seq(1),
    showsSeq: seq(1),
    memberSeq: seq(0),
    prevMemberSeq: seq(0),
    receivedAtMs: 0,
    ...more,
  };
}

/** What every adapter of the port must do while its bus is reachable. */
export function frameBusConformance(name: string, open: () => Promise<ConformanceSubject>): void {
  describe(`${name} as a frame bus`, () => {
    let subject: ConformanceSubject;
    let bus: FrameBus;
    let names = 0;
    const newRoom = (): Room => `c:${process.pid}-${Date.now()}-${(names += 1)}`;
    const attach = async (): Promise<{ server: Server; member: FrameBusMember }> => {
      const server = new Server(`chat-${(names += 1)}` as InstanceId);
      return { server, member: await bus.attach(server.id, server.receive) };
    };

    beforeEach(async () => {
      subject = await open();
      bus = subject.bus;
    });
    afterEach(() => subject.close());

    it('reaches every server in the room once, and no other', async () => {
      const [room, elsewhere] = [newRoom(), newRoom()];
      const [one, two, three] = [await attach(), await attach(), await attach()];
      await one.member.join(room);
      await one.member.join(room);
      await two.member.join(room);
      await three.member.join(elsewhere);
      await bus.publish(room, frame('a'));
      await bus.publish(elsewhere, frame('b'));
      await Promise.all([one, two, three].map(({ server }) => server.until(1)));
      await bus.publish(room, frame('c'));
      await Promise.all([one, two].map(({ server }) => server.until(2)));
      for (const { server } of [one, two])
        expect(server.received).toEqual([
          [room, 'a'],
          [room, 'c'],
        ]);
      expect(three.server.received).toEqual([[elsewhere, 'b']]);
    });

    it('carries a frame unchanged', async () => {
      const room = newRoom();
      const received = Promise.withResolvers<RoomFrame>();
      const member = await bus.attach('chat-x' as InstanceId, (_, arrived) => received.resolve(arrived));
      await member.join(room);
      const sent = frame('{"text":"é😀\\u2028"}', { conversationId: null, exceptUserIds: [], seq: seq(7) });
      await bus.publish(room, sent);
      expect(await received.promise).toEqual(sent);
    });

    it('keeps the order of a publisher in a room', async () => {
      const room = newRoom();
      const { server, member } = await attach();
      await member.join(room);
      await Promise.all(Array.from({ length: 200 }, (_, index) => bus.publish(room, frame(`${index}`))));
      await server.until(200);
      expect(server.received.map(([, data]) => data)).toEqual(Array.from({ length: 200 }, (_, index) => `${index}`));
    });

    it('does not reach a server that left, until it joins again', async () => {
      const [room, witness] = [newRoom(), newRoom()];
      const [leaving, staying] = [await attach(), await attach()];
      for (const { member } of [leaving, staying]) await member.join(room);
      await leaving.member.join(witness);
      await leaving.member.leave(room);
      await leaving.member.leave(room);
      await bus.publish(room, frame('missed'));
      await bus.publish(witness, frame('seen'));
      await Promise.all([leaving.server.until(1), staying.server.until(1)]);
      await leaving.member.join(room);
      await bus.publish(room, frame('back'));
      await Promise.all([leaving.server.until(2), staying.server.until(2)]);
      expect(leaving.server.received).toEqual([
        [witness, 'seen'],
        [room, 'back'],
      ]);
      expect(staying.server.received).toEqual([
        [room, 'missed'],
        [room, 'back'],
      ]);
    });

    it('leaves the rooms of the others alone when a server closes', async () => {
      const rooms = [newRoom(), newRoom()];
      const [closing, staying] = [await attach(), await attach()];
      for (const room of rooms) await Promise.all([closing.member.join(room), staying.member.join(room)]);
      await closing.member.close();
      for (const room of rooms) await bus.publish(room, frame('a'));
      await staying.server.until(2);
      expect(closing.server.received).toEqual([]);
    });

    it('takes a frame for a room that nobody is in', async () => {
      await bus.publish(newRoom(), frame('a'));
    });
  });
}
