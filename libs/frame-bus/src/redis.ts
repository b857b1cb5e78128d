import { createShardedAdapter } from '@socket.io/redis-adapter';

import { type InstanceId, ParleyError } from '@parley/contracts';
import type { RedisConnection, ShardedSubscriber } from '@parley/redis-client';

import type { FrameBus, FrameBusMember, Room, RoomFrame } from './frame-bus.js';

export interface RedisFrameBusConfig {
  readonly redis: RedisConnection;
}

/** `socket.io-parser`'s number of an event. */
const EVENT = 2;

/** What the adapter delivers to: it takes each member for a socket. */
interface Receiver {
  readonly notifyOutgoingListeners: (packet: { readonly data: readonly [room: Room, frame: Buffer] }) => void;
  readonly client: { writeToEngine(): void };
}

/**
 * Rooms over the sharded Redis adapter of Socket.IO: a channel for each room, on which only those subscribe who have a
 * member in it (`dynamic-private`).
 *
 * There is no Socket.IO server: sockets are the chat server's own affair. The adapter is given a namespace with the three
 * things that it uses of one, whose sockets are the members, and clients by which subscriptions survive what happens to
 * connections (ShardedSubscriber) and are waited for: its own `addAll` does not wait for the server's answer.
 *
 * A frame is JSON once, as bytes, which the adapter packs as they are (msgpack); as a string it would be escaped again.
 */
export class RedisFrameBus implements FrameBus {
  readonly #receivers = new Map<string, Receiver>();
  readonly #adapter: ReturnType<ReturnType<typeof createShardedAdapter>>;
  readonly #listeners = new Map<string, Listener>();
  #subscriber: ShardedSubscriber | null = null;
  #members = 0;
  /** What the adapter published last: it keeps a failure from the caller of `broadcast`. */
  #sent = Promise.resolve();

  /** The adapter's two channels for requests between servers have no use here: nobody is subscribed to them yet. */
  private constructor(private readonly config: RedisFrameBusConfig) {
    const { redis } = config;
    const subscriptions = {
      sSubscribe: (channel: string, listener: Listener): void => {
        this.#listeners.set(channel, listener);
        // Whoever must know that it is active asks again, in `join`.
        void this.#subscriber?.subscribe(channel);
      },
      sUnsubscribe: (channels: string | readonly string[]): void => {
        for (const channel of [channels].flat()) {
          this.#listeners.delete(channel);
          this.#subscriber?.unsubscribe(channel);
        }
      },
    };
    const publisher = {
      sSubscribe: subscriptions.sSubscribe,
      sPublish: (channel: string, message: string | Uint8Array) => (this.#sent = redis.publish(channel, message)),
    };
    this.#adapter = createShardedAdapter(publisher, subscriptions, {
      channelPrefix: this.#prefix,
      subscriptionMode: 'dynamic-private',
    })({
      name: NAMESPACE,
      // Nothing is encoded for sockets.
      server: { encoder: { encode: () => [] }, opts: {} },
      sockets: this.#receivers,
    });
  }

  static async open(config: RedisFrameBusConfig): Promise<RedisFrameBus> {
    const bus = new RedisFrameBus(config);
    bus.#subscriber = await config.redis.subscriber((channel, message) => {
      bus.#listeners.get(channel)?.(message, channel);
    });
    return bus;
  }

  async attach(serverId: InstanceId, receive: (room: Room, frame: RoomFrame) => void): Promise<FrameBusMember> {
    const id = `${serverId}#${(this.#members += 1)}`;
    this.#receivers.set(id, {
      notifyOutgoingListeners: ({ data: [room, frame] }) => receive(room, frameOf(frame)),
      client: { writeToEngine: () => undefined },
    });
    return {
      join: async (room) => {
        if (!this.#receivers.has(id)) return;
        void this.#adapter.addAll(id, new Set([room]));
        // Wanted from here on: when Redis is back the room is subscribed, whether this one waits for it or not.
        if (await this.#subscriber?.subscribe(this.#channelOf(room))) return;
        throw new ParleyError('unavailable', `Redis: ${room} is not subscribed yet`);
      },
      leave: async (room) => this.#adapter.del(id, room),
      close: async () => {
        this.#adapter.delAll(id);
        this.#receivers.delete(id);
      },
    };
  }

  async publish(room: Room, frame: RoomFrame): Promise<void> {
    const packet = { type: EVENT, data: [room, Buffer.from(JSON.stringify(frame))] };
    const broadcast = this.#adapter.broadcast(packet, { rooms: new Set([room]), except: new Set(), flags: {} });
    const sent = this.#sent;
    await broadcast;
    await sent;
  }

  async close(): Promise<void> {
    this.#receivers.clear();
    await this.#adapter.close();
    await this.#subscriber?.close();
  }

  get #prefix(): string {
    return `${this.config.redis.keyPrefix}frames`;
  }

  /** As the adapter names it. */
  #channelOf(room: Room): string {
    return `${this.#prefix}#${NAMESPACE}#${room}#`;
  }
}

type Listener = (message: Buffer, channel: string) => void;

const NAMESPACE = '/';

function frameOf(bytes: Buffer): RoomFrame {
  return JSON.parse(bytes.toString()) as RoomFrame;
}
