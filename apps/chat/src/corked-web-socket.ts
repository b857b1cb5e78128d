import type { Socket } from 'node:net';

import { type ServerOptions, WebSocket, WebSocketServer } from 'ws';

import { Sender } from './ws-sender.js';

/**
 * WebSockets whose frames leave in one write per event-loop turn, however many are due. A write costs more than
 * everything else about a small frame, so ten frames in one write are ten times as many deliveries (docs/performance.md).
 *
 * `ws` has no public hook below `send`; this uses the same member that Engine.IO uses for pre-encoded frames
 * (`_sender.sendFrame`), and nothing else.
 */

/** Senders with something to write, in order of their first frame. Two arrays take turns: a flush may queue anew. */
let due: CorkedSender[] = [];
let scheduled = false;

function flushAll(): void {
  const senders = due;
  due = [];
  scheduled = false;
  for (const sender of senders) sender.flush();
}

/** Replaces `ws`'s writes; everything else of the sender (framing, compression, state) stays. */
class CorkedSender extends Sender {
  declare readonly _socket: Socket;
  /** Most turns have one frame for a socket: a lone one needs no array. */
  declare pending: Buffer | Buffer[] | undefined;

  /** Called by `ws` and Engine.IO with the parts of one frame. Answers at once: what waits is bounded by `outstanding`. */
  override sendFrame(parts: readonly (Buffer | string)[], sent?: (error?: Error) => void): void {
    for (const part of parts) this.enqueue(typeof part === 'string' ? Buffer.from(part) : part);
    sent?.();
  }

  enqueue(frame: Buffer): void {
    const { pending } = this;
    if (pending === undefined) {
      this.pending = frame;
      due.push(this);
      if (!scheduled) {
        scheduled = true;
        setImmediate(flushAll);
      }
    } else if (Array.isArray(pending)) {
      pending.push(frame);
    } else {
      this.pending = [pending, frame];
    }
  }

  flush(): void {
    const { pending } = this;
    this.pending = undefined;
    if (pending === undefined || this._socket.destroyed) return;
    this._socket.write(Array.isArray(pending) ? Buffer.concat(pending) : pending);
  }
}

export class CorkedWebSocket extends WebSocket {
  declare _sender: CorkedSender;
  declare _socket: Socket;

  /** Called by `ws` once the connection is upgraded. */
  setSocket(...args: unknown[]): void {
    const inherited: unknown = Reflect.get(WebSocket.prototype, 'setSocket');
    if (typeof inherited !== 'function') throw new Error('This version of ws has no WebSocket.setSocket');
    Reflect.apply(inherited, this, args);
    Object.setPrototypeOf(this._sender, CorkedSender.prototype);
  }

  /** Queues a whole frame, made by `textFrame`, for the end of this turn. */
  sendEncoded(frame: Buffer): void {
    this._sender.enqueue(frame);
  }

  /** Bytes that the kernel has not taken yet. */
  get outstanding(): number {
    return this._socket.writableLength;
  }

  /** Writes what waits now, so that a close frame comes after it. */
  flushNow(): void {
    this._sender.flush();
  }
}

/** For Engine.IO's `wsEngine` option. */
export class CorkedWebSocketServer extends WebSocketServer {
  constructor(options: ServerOptions) {
    super({ ...options, WebSocket: CorkedWebSocket as never });
  }
}
