import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import { LIMITS, MESSAGE_LIMITS, ParleyError, refusalOf, toErrorBody } from '@parley/contracts';
import { Server as EngineServer } from 'engine.io';
import { Server, type Socket } from 'socket.io';

import { boundedParser } from './bounded-parser.js';
import type { ChatConfig } from './config.js';
import { CorkedWebSocket, CorkedWebSocketServer } from './corked-web-socket.js';
import type { Acknowledgement } from './dispatcher.js';
import type { EncodedFrame } from './encoded-frame.js';
import type { CloseCode, Outlet, Session } from './session.js';

/** Engine.IO drops the connection beyond this; up to it a frame that is too large is refused by acknowledgement. */
const TRANSPORT_MAX_BYTES = 4 * LIMITS.frameMaxBytes;

export interface SocketIoPorts {
  readonly config: ChatConfig;
  /** Verifies the ticket and opens the session, or throws a ParleyError. */
  readonly open: (ticket: unknown, outlet: Outlet) => Promise<Session>;
  readonly opened: (session: Session, ready: EncodedFrame) => void;
  readonly closed: (session: Session) => void;
  readonly dispatch: (session: Session, event: string, args: readonly unknown[]) => Promise<Acknowledgement>;
  readonly ready: (session: Session) => EncodedFrame;
  /** A slow reader was cut off. */
  readonly cutOff: () => void;
}

interface SocketData {
  session?: Session;
}
type ChatSocket = Socket<Record<string, never>, Record<string, never>, Record<string, never>, SocketData>;

/** Sessions over Socket.IO 4 (protocol 5), by WebSocket or HTTP long polling. */
export class SocketIoTransport {
  readonly io: Server<Record<string, never>, Record<string, never>, Record<string, never>, SocketData>;
  readonly #engine: EngineServer;

  constructor(private readonly ports: SocketIoPorts) {
    const { config } = ports;
    this.#engine = new EngineServer({
      pingInterval: config.PARLEY_PING_INTERVAL_MS,
      pingTimeout: config.PARLEY_PING_TIMEOUT_MS,
      maxHttpBufferSize: TRANSPORT_MAX_BYTES,
      perMessageDeflate: false,
      httpCompression: false,
      wsEngine: CorkedWebSocketServer,
      cors: { origin: true },
    });
    this.io = new Server({
      connectTimeout: config.PARLEY_CONNECT_TIMEOUT_MS,
      serveClient: false,
      parser: boundedParser,
    });
    this.io.bind(this.#engine);
    this.io.use((socket, next) => {
      this.#open(socket).then(
        () => next(),
        (error: unknown) => next(connectError(error)),
      );
    });
    this.#engine.on('connection', forgetHandshake);
  }

  /** Binds a connected socket's events, once, in one listener. */
  bind(socket: ChatSocket): void {
    const { session } = socket.data;
    if (session === undefined) return;
    socket.onAny(onAnyEvent.bind(undefined, this.ports, session));
    socket.once('disconnect', () => this.ports.closed(session));
    this.ports.opened(session, this.ports.ready(session));
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    this.#engine.handleRequest(request as never, response);
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const before = socket.listenerCount('close');
    this.#engine.handleUpgrade(request as never, socket as never, head);
    // The first listener that Engine.IO adds (6.6: of `WebSocketResponse`, once) is for middlewares, which there are
    // none of; it holds the request for as long as the connection lives.
    const added = socket.rawListeners('close')[before];
    if (added !== undefined && 'listener' in added) socket.removeListener('close', added as unknown as () => void);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#engine.close();
      void this.io.close(() => resolve()).catch(() => resolve());
    });
  }

  async #open(socket: ChatSocket): Promise<void> {
    const auth: unknown = socket.handshake.auth;
    const ticket = typeof auth === 'object' && auth !== null && 'ticket' in auth ? auth.ticket : undefined;
    const outlet = new SocketOutlet(socket, this.ports);
    const session = await this.ports.open(ticket, outlet);
    if (socket.conn.readyState !== 'open') {
      // Gone while it was being opened: no disconnect event will ever come.
      this.ports.closed(session);
      throw new ParleyError('unauthenticated', 'The connection closed');
    }
    socket.data.session = session;
    // Headers and query of the handshake live as long as the socket otherwise.
    Reflect.set(socket, 'handshake', { auth: {} });
  }
}

function onAnyEvent(ports: SocketIoPorts, session: Session, event: unknown, ...args: unknown[]): void {
  const acknowledge = typeof args.at(-1) === 'function' ? (args.pop() as (answer: Acknowledgement) => void) : undefined;
  void ports.dispatch(session, String(event), args).then((answer) => acknowledge?.(answer));
}

/** Socket.IO carries `data` of a middleware's error to the client's `connect_error`. */
function connectError(error: unknown): Error & { data: unknown } {
  const refusal = refusalOf(error, 'The session failed');
  return Object.assign(new Error(refusal.code), { data: toErrorBody(refusal, randomUUID()) });
}

/** A socket as an outlet: WebSocket frames bypass Engine.IO's buffers, long polling uses them. */
class SocketOutlet implements Outlet {
  readonly kind = 'socket';

  constructor(
    private readonly socket: ChatSocket,
    private readonly ports: Pick<SocketIoPorts, 'config' | 'cutOff'>,
  ) {}

  deliver(frame: EncodedFrame): void {
    const { conn } = this.socket;
    const webSocket = webSocketOf(conn);
    if (webSocket !== undefined) {
      webSocket.sendEncoded(frame.webSocket);
      if (webSocket.outstanding > this.ports.config.PARLEY_SESSION_BUFFER_MAX_BYTES) this.#cutOff(webSocket);
      return;
    }
    conn.write(frame.packet);
    if (bufferedBytes(conn) > this.ports.config.PARLEY_SESSION_BUFFER_MAX_BYTES) {
      this.ports.cutOff();
      conn.close(true);
    }
  }

  close(code: CloseCode): void {
    const webSocket = webSocketOf(this.socket.conn);
    if (webSocket === undefined) {
      this.socket.conn.close();
      return;
    }
    webSocket.flushNow();
    webSocket.close(code);
  }

  /** A reader that leaves megabytes unread is better off coming back with a sync than holding memory here. */
  #cutOff(webSocket: CorkedWebSocket): void {
    this.ports.cutOff();
    webSocket.terminate();
  }
}

function webSocketOf(conn: Socket['conn']): CorkedWebSocket | undefined {
  if (conn.readyState !== 'open' || conn.upgrading) return undefined;
  const { transport } = conn;
  if (transport.name !== 'websocket') return undefined;
  const { socket } = transport as unknown as { socket: unknown };
  return socket instanceof CorkedWebSocket && socket.readyState === socket.OPEN ? socket : undefined;
}

function bufferedBytes(conn: Socket['conn']): number {
  const { writeBuffer } = conn as unknown as { writeBuffer: readonly { data?: string }[] };
  if (writeBuffer.length < 100) return 0;
  return writeBuffer.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
}

/**
 * The upgrade request, its headers and buffers are 4 KB of every connection that nothing needs any more. Engine.IO holds
 * them by `request`, and by a listener for errors before the upgrade that it leaves on connections that start as
 * WebSockets (6.6: `onUpgradeError`, whose closure has the request).
 */
function forgetHandshake(connection: { request: unknown; transport: { readonly socket?: unknown } }): void {
  connection.request = null;
  const { socket } = connection.transport;
  if (!(socket instanceof CorkedWebSocket)) return;
  for (const listener of socket.listeners('error')) {
    if (listener.name === 'onUpgradeError') socket.off('error', listener as () => void);
  }
}

export const SESSION_LIMITS = {
  frameMaxBytes: LIMITS.frameMaxBytes,
  textMaxUnits: MESSAGE_LIMITS.textMaxUnits,
};
