import { LIMITS } from '@parley/contracts';
import * as parser from 'socket.io-parser';

import { OVERSIZED_EVENT } from './dispatcher.js';

/**
 * Socket.IO's own encoding, but a frame over the bound is never parsed: an event becomes a marker with its
 * acknowledgement id, so that it can be refused by name. Engine.IO's own bound, above this one, protects memory.
 */
class BoundedDecoder extends parser.Decoder {
  override add(packet: unknown): void {
    if (typeof packet !== 'string' || packet.length <= LIMITS.frameMaxBytes / 4) return super.add(packet);
    if (Buffer.byteLength(packet) <= LIMITS.frameMaxBytes) return super.add(packet);
    super.add(oversized(packet));
  }
}

/** `2<ack id>["marker"]` for an event of the main namespace; anything else is a protocol violation. */
function oversized(packet: string): string {
  const header = /^2(\d{0,15})\[/.exec(packet);
  if (header === null) throw new Error('frame too large');
  return `2${header[1] ?? ''}["${OVERSIZED_EVENT}"]`;
}

export const boundedParser = { ...parser, Decoder: BoundedDecoder };
