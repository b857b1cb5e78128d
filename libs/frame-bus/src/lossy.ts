import { isUnavailable } from '@parley/contracts';

import type { FrameBus, Room, RoomFrame } from './frame-bus.js';

/** For what is lossy by nature (typing, presence, receipts): while the bus is away it is dropped, and nobody waits. */
export async function publishLossy(frames: FrameBus, room: Room, frame: RoomFrame): Promise<void> {
  try {
    await frames.publish(room, frame);
  } catch (error) {
    if (!isUnavailable(error)) throw error;
  }
}
