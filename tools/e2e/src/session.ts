import { CLIENT_EVENTS, type ClientAck, type ClientEvent, ErrorBody } from '@parley/contracts';
import { io, type Socket } from 'socket.io-client';

import { Recorder } from './recorder.js';

const ACK_WITHIN_MS = 10_000;

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
        socket.close();
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
    this.socket.close();
  }
}
