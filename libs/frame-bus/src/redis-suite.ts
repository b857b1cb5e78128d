import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { type ConversationId, DEFAULT_WORKSPACE, type InstanceId, seq } from '@parley/contracts';
import { connectRedis, type RedisConnection, script } from '@parley/redis-client';
import { connectTo, type Kind, newPrefix, placeOf, Way } from '@parley/redis-client/testing';

import { frameBusConformance } from './conformance.js';
import type { Room, RoomFrame } from './frame-bus.js';
import { RedisFrameBus } from './redis.js';

const frame = (at: number): RoomFrame => ({
  workspaceId: DEFAULT_WORKSPACE,
  conversationId: 'c_1' as ConversationId,
  history: 'all',
  frames: [{ event: 'message.new', data: `{"n":${at}}` }],
  seq: seq(at),
  showsSeq: seq(at),
  memberSeq: seq(0),
  prevMemberSeq: seq(0),
  receivedAtMs: 0,
});

/** The positions that a server received, and a promise for when a certain one has come. */
class Received {
  readonly seqs: number[] = [];
  #check: (() => void) | null = null;
  readonly receive = (_room: Room, { seq: at }: RoomFrame): void => {
    this.seqs.push(at);
    this.#check?.();
  };
  until(last: number): Promise<void> {
    return new Promise((resolve) => {
      this.#check = () => this.seqs.includes(last) && resolve();
      this.#check();
    });
  }
}

/** What holds on one server and on a cluster. */
export function redisSuite(kind: Kind): void {
  frameBusConformance(`redis on ${kind}`, async () => {
    const redis = await connectTo(kind);
    const bus = await RedisFrameBus.open({ redis });
    return {
      bus,
      async close() {
        await bus.close();
        await redis.close();
      },
    };
  });

  describe(`frame buses of several processes in ${kind}`, () => {
    let connections: RedisConnection[];
    let buses: RedisFrameBus[];
    const bus = (at: number): RedisFrameBus => {
      const found = buses[at];
      if (found === undefined) throw new Error('not opened');
      return found;
    };

    beforeEach(async () => {
      const first = await connectTo(kind);
      connections = [first, await connectTo(kind, { keyPrefix: first.keyPrefix })];
      buses = await Promise.all(connections.map((redis) => RedisFrameBus.open({ redis })));
    });
    afterEach(async () => {
      for (const each of buses) await each.close();
      for (const redis of connections) await redis.close();
    });

    it('delivers what is published by another process as soon as a join resolved, also when two join at once', async () => {
      const member = await bus(0).attach('chat-1' as InstanceId, () => undefined);
      const received = new Received();
      const other = await bus(0).attach('chat-2' as InstanceId, received.receive);
      for (let at = 1; at <= 50; at += 1) {
        const room: Room = `c:${at}`;
        void member.join(room);
        await other.join(room);
        await bus(1).publish(room, frame(at));
      }
      // Rooms are independent of each other.
      for (let at = 1; at <= 50; at += 1) await received.until(at);
      expect(received.seqs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    });

    it('keeps the order of rooms that are joined and left again and again', async () => {
      const received = new Received();
      const member = await bus(0).attach('chat-1' as InstanceId, received.receive);
      for (let at = 1; at <= 30; at += 1) {
        await Promise.all([member.join('c:x'), member.leave('c:x'), member.join('c:x')]);
        await bus(1).publish('c:x', frame(at));
        await received.until(at);
      }
      expect(received.seqs).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
    });

    it('does not bother a server that holds no member of the room', async () => {
      await (await bus(0).attach('chat-1' as InstanceId, () => undefined)).join('c:here');
      const prefix = connections[0]?.keyPrefix ?? '';
      const subscribers = await connections[0]?.call({
        script: SUBSCRIBERS,
        keys: [`${prefix}frames#/#c:elsewhere#`],
        args: [],
      });
      expect(subscribers).toEqual([`${prefix}frames#/#c:elsewhere#`, 0]);
    });
  });
}

const SUBSCRIBERS = script(`return redis.call('PUBSUB', 'SHARDNUMSUB', KEYS[1])`);

/** One server: its way can be cut. */
export function lossSuite(): void {
  describe('a frame bus whose server goes away', () => {
    it('has joined when the server says so and not before, whoever else is joining', async () => {
      const place = placeOf('one server');
      const way = await Way.to('url' in place ? place.url : '');
      const far = await connectTo('one server');
      const near = await connectRedis({ url: way.url, keyPrefix: far.keyPrefix, commandTimeoutMs: 10_000 });
      const bus = await RedisFrameBus.open({ redis: near });
      const members = await Promise.all(
        ['chat-1', 'chat-2'].map((id) => bus.attach(id as InstanceId, () => undefined)),
      );
      way.silence();
      let joined = 0;
      const joining = members.map((member) => member.join('c:x').then(() => (joined += 1)));
      for (let asked = 0; asked < 20; asked += 1) await far.call({ command: 'GET', key: far.keyPrefix, args: [] });
      expect(joined).toBe(0);
      way.restore();
      await Promise.all(joining);
      await bus.close();
      for (const each of [near, far]) await each.close();
      await way.close();
    });

    it('refuses what it cannot hand over, still serves its own members, and has every room again afterwards', async () => {
      const place = placeOf('one server');
      const keyPrefix = newPrefix();
      const way = await Way.to('url' in place ? place.url : '');
      const far = await connectTo('one server', { keyPrefix });
      const near = await connectRedis({ url: way.url, keyPrefix, commandTimeoutMs: 300 });
      const local = await RedisFrameBus.open({ redis: near });
      const remote = await RedisFrameBus.open({ redis: far });
      const received = new Received();
      const member = await local.attach('chat-1' as InstanceId, received.receive);
      const rooms = Array.from({ length: 300 }, (_, index): Room => `u:${index}`);
      await Promise.all(rooms.map((room) => member.join(room)));

      way.cut();
      while (near.reachable) await new Promise((resolve) => setImmediate(resolve));
      await expect(member.join('u:joined-meanwhile')).rejects.toMatchObject({ code: 'unavailable' });
      await expect(local.publish('u:1', frame(1))).rejects.toMatchObject({ code: 'unavailable' });
      expect(received.seqs).toEqual([1]);

      way.restore();
      for (const room of [...rooms, 'u:joined-meanwhile' as Room]) {
        let at = 1_000;
        // Published until it arrives: nobody says when the subscription is there again.
        while (!received.seqs.includes(2)) {
          await remote.publish(room, frame(2));
          await far.call({ command: 'GET', key: `${keyPrefix}${(at += 1)}`, args: [] });
        }
        received.seqs.length = 0;
      }
      for (const each of [local, remote]) await each.close();
      for (const each of [near, far]) await each.close();
      await way.close();
    });
  });
}
