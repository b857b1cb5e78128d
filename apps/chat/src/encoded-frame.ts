import type { Frame } from '@parley/contracts';
import { Sender } from './ws-sender.js';

/** Engine.IO `message` packet carrying a Socket.IO EVENT packet of the main namespace. */
const EVENT_PREFIX = '2';
const ENGINE_MESSAGE = '4';
const TEXT_OPCODE = 1;

/** A frame for clients, encoded at most once for each transport however many sessions receive it. */
export class EncodedFrame {
  readonly event: string;
  readonly data: string;
  #webSocket: Buffer | undefined;

  constructor({ event, data }: Frame) {
    this.event = event;
    this.data = data;
  }

  /** The Socket.IO packet, without the Engine.IO packet type. */
  get packet(): string {
    return `${EVENT_PREFIX}["${this.event}",${this.data}]`;
  }

  /** The whole WebSocket frame (RFC 6455, unmasked text). */
  get webSocket(): Buffer {
    this.#webSocket ??= textFrame(`${ENGINE_MESSAGE}${this.packet}`);
    return this.#webSocket;
  }

  /** An event of an event stream (HTML Living Standard, section 9.2); JSON has no raw line breaks. */
  eventStream(id: string): string {
    return `event: ${this.event}\ndata: ${this.data}\nid: ${id}\n\n`;
  }

  get bytes(): number {
    return this.data.length + this.event.length;
  }
}

export function textFrame(text: string): Buffer {
  const parts = Sender.frame(Buffer.from(text), {
    fin: true,
    opcode: TEXT_OPCODE,
    mask: false,
    readOnly: true,
    rsv1: false,
  });
  return Buffer.concat(parts);
}
