import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

import { encodeFrame, FrameReader, OPCODE } from './websocket-frames.js';

export interface SessionAddress {
  readonly host: string;
  readonly port: number;
  /** Of the Socket.IO server, as `POST /v1/session` names it. */
  readonly path: string;
  readonly ticket: string;
}

export interface SessionHandlers {
  /** Any server event: the bytes from `start` to `end` are `42["name",payload]` and valid only during the call. */
  onEvent?(frame: Buffer, start: number, end: number): void;
  onClose?(why: string): void;
}

/** `ok` as the acknowledgement says; false as well when the connection ended before there was one. */
export type OnAcknowledged = (ok: boolean, frame: Buffer, start: number, end: number) => void;

/** Unsent bytes beyond this mean that the server has stopped reading: the session refuses to send. */
const UNSENT_MAX_BYTES = 4 * 1024 * 1024;
const READ_BUFFER_BYTES = 256 * 1024;
const NOTHING = Buffer.alloc(0);
const OK = Buffer.from('"ok":true');
const READY = Buffer.from('42["session.ready"');

/** All sessions of a process are read into one buffer: frames are looked at at once and never kept. */
const readBuffer = Buffer.allocUnsafe(READ_BUFFER_BYTES);
const [ZERO, NINE] = [48, 57];

/**
 * One Socket.IO session over WebSocket with nothing in it that is not measured: Engine.IO 4 and Socket.IO 5 are
 * recognised by their first two bytes and JSON is never parsed, so that one core can hold 10,000 of these and read a
 * broadcast to all of them in less time than a server needs to write it.
 */
export class RawSession {
  readonly #socket: Socket;
  readonly #handlers: SessionHandlers;
  readonly #pending = new Map<number, OnAcknowledged>();
  readonly #reader = new FrameReader();
  readonly #address: SessionAddress;
  #head: Buffer | undefined = NOTHING;
  #nextAckId = 0;
  #closed: string | undefined;
  #opened: ((failure?: Error) => void) | undefined;

  private constructor(address: SessionAddress, handlers: SessionHandlers, opened: (failure?: Error) => void) {
    this.#address = address;
    this.#handlers = handlers;
    this.#opened = opened;
    this.#socket = connect({
      host: address.host,
      port: address.port,
      noDelay: true,
      onread: { buffer: readBuffer, callback: (length, buffer) => this.#read(length, buffer as Buffer) },
    });
    this.#socket.once('connect', () => {
      this.#socket.write(
        `GET ${address.path.replace(/\/$/, '')}/?EIO=4&transport=websocket HTTP/1.1\r\n` +
          `Host: ${address.host}:${address.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
      );
    });
    this.#socket.once('error', (error) => this.#end(error.message));
    this.#socket.once('close', () => this.#end('connection closed'));
  }

  /** Answers once the server has said `session.ready`. */
  static open(address: SessionAddress, handlers: SessionHandlers, timeoutMs = 30_000): Promise<RawSession> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => session.#end(`not ready within ${timeoutMs} ms`), timeoutMs);
      const session: RawSession = new RawSession(address, handlers, (failure) => {
        clearTimeout(timer);
        if (failure === undefined) resolve(session);
        else reject(failure);
      });
    });
  }

  get open(): boolean {
    return this.#closed === undefined;
  }

  /** Emits an event whose payload is already JSON; `onAck` is called exactly once. */
  emit(event: string, json: string, onAck: OnAcknowledged): void {
    if (this.#closed !== undefined || this.#socket.writableLength > UNSENT_MAX_BYTES) {
      onAck(false, NOTHING, 0, 0);
      return;
    }
    const id = this.#nextAckId;
    this.#nextAckId += 1;
    this.#pending.set(id, onAck);
    this.#socket.write(encodeFrame(OPCODE.text, `42${id}["${event}",${json}]`));
  }

  close(): void {
    this.#end('closed by the client');
  }

  #read(length: number, buffer: Buffer): boolean {
    try {
      if (this.#head === undefined) this.#reader.push(buffer, length, this.#onFrame);
      else this.#readHandshake(this.#head, buffer.subarray(0, length));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#end(error.message);
    }
    return true;
  }

  #readHandshake(head: Buffer, more: Buffer): void {
    const text = Buffer.concat([head, more]);
    const bodyAt = text.indexOf('\r\n\r\n');
    if (bodyAt < 0) {
      if (text.length > 16_384) throw new RangeError('an endless handshake');
      this.#head = text;
      return;
    }
    const status = text.toString('latin1', 0, Math.min(bodyAt, 64)).split('\r\n')[0] ?? '';
    if (!status.startsWith('HTTP/1.1 101')) throw new RangeError(`handshake answered ${status}`);
    this.#head = undefined;
    const rest = text.subarray(bodyAt + 4);
    this.#reader.push(rest, rest.length, this.#onFrame);
  }

  readonly #onFrame = (opcode: number, bytes: Buffer, start: number, end: number): void => {
    if (this.#closed !== undefined) return;
    if (opcode === OPCODE.ping) {
      this.#socket.write(encodeFrame(OPCODE.pong, bytes.toString('utf8', start, end)));
    } else if (opcode === OPCODE.close) {
      this.#end(`closed by the server with ${end - start >= 2 ? bytes.readUInt16BE(start) : 'no code'}`);
    } else if (opcode === OPCODE.text) {
      this.#onPacket(bytes, start, end);
    }
  };

  /** First byte: Engine.IO (0 open, 1 close, 2 ping, 4 message); second: Socket.IO (0 connect, 2 event, 3 ack, 4 refused). */
  #onPacket(bytes: Buffer, start: number, end: number): void {
    const kind = bytes[start];
    if (kind === 0x32) {
      this.#socket.write(encodeFrame(OPCODE.text, '3'));
    } else if (kind === 0x30) {
      this.#socket.write(encodeFrame(OPCODE.text, `40${JSON.stringify({ ticket: this.#address.ticket })}`));
    } else if (kind === 0x34) {
      const type = bytes[start + 1];
      if (type === 0x32) this.#onEvent(bytes, start, end);
      else if (type === 0x33) this.#onAck(bytes, start, end);
      else if (type !== 0x30) this.#end(`refused: ${bytes.toString('utf8', start, Math.min(end, start + 300))}`);
    } else if (kind === 0x31) {
      this.#end('closed by the server');
    }
  }

  #onEvent(bytes: Buffer, start: number, end: number): void {
    if (this.#opened !== undefined && bytes.compare(READY, 0, READY.length, start, start + READY.length) === 0) {
      const opened = this.#opened;
      this.#opened = undefined;
      opened();
    } else {
      this.#handlers.onEvent?.(bytes, start, end);
    }
  }

  #onAck(bytes: Buffer, start: number, end: number): void {
    let at = start + 2;
    let id = 0;
    for (let digit = bytes[at] ?? 0; at < end && digit >= ZERO && digit <= NINE; digit = bytes[at] ?? 0) {
      id = id * 10 + digit - ZERO;
      at += 1;
    }
    const onAck = this.#pending.get(id);
    if (onAck === undefined) return;
    this.#pending.delete(id);
    const okAt = bytes.indexOf(OK, at);
    onAck(okAt >= 0 && okAt < end, bytes, at, end);
  }

  #end(why: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = why;
    this.#socket.destroy();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const onAck of pending) onAck(false, NOTHING, 0, 0);
    const opened = this.#opened;
    this.#opened = undefined;
    opened?.(new Error(`session did not open: ${why}`));
    this.#handlers.onClose?.(why);
  }
}
