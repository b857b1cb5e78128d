import type { InstanceId } from '@parley/contracts';

import type { FrameBus, FrameBusMember, Room, RoomFrame } from './frame-bus.js';

interface Attachment {
  readonly serverId: InstanceId;
  readonly receive: (room: Room, frame: RoomFrame) => void;
}

/**
 * The bus of one process: publishing calls every server in the room before it returns. Most rooms have one server, as
 * most are one user's; those hold it bare, without a set around it.
 */
export class InProcessFrameBus implements FrameBus {
  readonly #rooms = new Map<Room, Attachment | Set<Attachment>>();

  async attach(serverId: InstanceId, receive: (room: Room, frame: RoomFrame) => void): Promise<FrameBusMember> {
    const attachment: Attachment = { serverId, receive };
    let open = true;
    return {
      join: async (room) => {
        if (open) this.#join(room, attachment);
      },
      leave: async (room) => this.#leave(room, attachment),
      close: async () => {
        open = false;
        // Once in a server's life: cheaper than to keep a list of each server's rooms.
        for (const room of this.#rooms.keys()) this.#leave(room, attachment);
      },
    };
  }

  async publish(room: Room, frame: RoomFrame): Promise<void> {
    const inRoom = this.#rooms.get(room);
    if (inRoom === undefined) return;
    if (!(inRoom instanceof Set)) {
      inRoom.receive(room, frame);
      return;
    }
    for (const attachment of inRoom) attachment.receive(room, frame);
  }

  async close(): Promise<void> {
    this.#rooms.clear();
  }

  #join(room: Room, attachment: Attachment): void {
    const inRoom = this.#rooms.get(room);
    if (inRoom === undefined) this.#rooms.set(room, attachment);
    else if (inRoom instanceof Set) inRoom.add(attachment);
    else if (inRoom !== attachment) this.#rooms.set(room, new Set([inRoom, attachment]));
  }

  #leave(room: Room, attachment: Attachment): void {
    const inRoom = this.#rooms.get(room);
    if (inRoom === attachment) this.#rooms.delete(room);
    if (!(inRoom instanceof Set) || !inRoom.delete(attachment) || inRoom.size > 1) return;
    const [last] = inRoom;
    if (last !== undefined) this.#rooms.set(room, last);
  }
}
