import { CLIENT_EVENTS, type ClientAck, type ClientEvent, ErrorBody } from '@parley/contracts';
import { io, type Socket } from 'socket.io-client';

import { Recorder } from './recorder.js';

const ACK_WITHIN_MS = 10_000;
const CLOSE_WITHIN_MS = 5_000;

/** Connections that were closed and have not ended yet: a poll has to come back first. */
const closing = new Set<Promise<void>>();

/** Resolves when none is left of the connections that were closed; a spec must not end before. */
export async function connectionsEnded(): Promise<void> {
  await Promise.all(closing);
}

function close(socket: Socket): void {
  const { engine } = socket.io;
  if (engine !== undefined && engine.readyState !== 'closed') {
    const ended = new Promise<void>((resolve) => {
      const late = setTimeout(resolve, CLOSE_WITHIN_MS);
      engine.once('close', () => {
        clearTimeout(late);
        resolve();
      });
    }).then(() => void closing.delete(ended));
    closing.add(ended);
  }
  socket.close();
}

export interface SessionAddress {
  readonly url: string;
  readonly path: string;
  readonly ticket: string;
}

/** A session over Socket.IO, as any client would open it, with everything that it received. */
export class Session extends Recorder {
  readonly socket: Socket;
  /** How it ended: the reason that Socket.IO gives, and the close code where the transport has one. */
  readonly closed: Promise<{ readonly reason: string; readonly code: number | undefined }>;

  private constructor(name: string, socket: Socket) {
    super(name);
    this.socket = socket;
    socket.onAny((event: string, data: Record<string, unknown>) => this.push({ event, data }));
    this.closed = new Promise((resolve) => {
      socket.once('disconnect', (reason, details) => {
        const close = typeof details === 'object' && 'context' in details ? details.context : undefined;
        const code = typeof close === 'object' && close !== null && 'code' in close ? Number(close.code) : undefined;
        resolve({ reason, code });
      });
    });
  }

  /** Resolves at `session.ready`; rejects with what the server says. */
  static async open(
    name: string,
    { url, path, ticket }: SessionAddress,
    transport: 'websocket' | 'polling' = 'websocket',
  ): Promise<Session> {
    const socket = io(url, {
      path,
      auth: { ticket },
      transports: [transport],
      upgrade: false,
      reconnection: false,
      forceNew: true,
      autoConnect: false,
    });
    const session = new Session(name, socket);
    const refused = new Promise<never>((_resolve, reject) => {
      socket.once('connect_error', (error) => {
        close(socket);
        reject(error);
      });
    });
    socket.connect();
    await Promise.race([session.next('session.ready'), refused]);
    return session;
  }

  /** A request that is expected to be accepted; its acknowledgement is held to the contract. */
  async ask<E extends ClientEvent>(event: E, request: object): Promise<ClientAck<E>> {
    const answer = await this.raw(event, request);
    if (answer['ok'] !== true) throw new Error(`${event} was refused: ${JSON.stringify(answer['error'])}`);
    const { ok: _ok, ...acknowledged } = answer;
    return CLIENT_EVENTS[event].acknowledgement.parse(acknowledged) as ClientAck<E>;
  }

  /** A request that is expected to be refused. */
  async refused(event: string, ...args: unknown[]): Promise<ErrorBody> {
    const answer = await this.raw(event, ...args);
    if (answer['ok'] !== false) throw new Error(`${event} was accepted: ${JSON.stringify(answer)}`);
    return ErrorBody.parse(answer['error']);
  }

  async raw(event: string, ...args: unknown[]): Promise<Record<string, unknown>> {
    return (await this.socket.timeout(ACK_WITHIN_MS).emitWithAck(event, ...args)) as Record<string, unknown>;
  }

  say(conversationId: string, clientId: string, text: string, more: object = {}) {
    return this.ask('message.send', { conversationId, clientId, content: { type: 'text', text }, ...more });
  }

  close(): void {
    close(this.socket);
  }
}
