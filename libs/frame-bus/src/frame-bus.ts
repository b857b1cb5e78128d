import type { InstanceId, RoomPush } from '@parley/contracts';

/** `c:` a channel's connected members; `u:` one user's sessions; `p:` those who watch one user's presence. */
export type Room = `c:${string}` | `u:${string}` | `p:${string}`;

/** One chat server's part of the bus. */
export interface FrameBusMember {
  /**
   * This server has a session in the room; idempotent. Frames published after it resolves arrive. Rejects with
   * `unavailable` while the bus's server is away; the room is joined all the same when it is back.
   */
  join(room: Room): Promise<void>;
  /** This server has none left; idempotent. */
  leave(room: Room): Promise<void>;
  close(): Promise<void>;
}

/** What is published to a room: the push and nothing about sockets, which only the chat server knows. */
export type RoomFrame = Omit<RoomPush, 'conversationId'> & {
  readonly conversationId: RoomPush['conversationId'] | null;
};

/**
 * Rooms across chat servers.
 *
 * Guarantees, for every adapter:
 * - A published frame reaches every server that had joined the room, once, in order per publisher and room; a server
 *   that holds no member of the room is not bothered.
 * - **Lossy**: what was published when the bus's server went away may be lost, nothing is kept. Clients notice by the
 *   jump in `seq`. `publish` rejects with `unavailable` when it is known that the frame was not handed over.
 */
export interface FrameBus {
  /** `receive` must not throw; it is called synchronously with each frame. */
  attach(serverId: InstanceId, receive: (room: Room, frame: RoomFrame) => void): Promise<FrameBusMember>;
  publish(room: Room, frame: RoomFrame): Promise<void>;
  close(): Promise<void>;
}
