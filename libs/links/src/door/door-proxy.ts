import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
  type ServerResponse,
} from 'node:http';
import { Agent as SecureAgent, request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream';
import type { Duplex } from 'node:stream';

import type { Refusal } from '@parley/contracts';

import type { LinkLog, LinkTls } from '../grpc/config.js';
import type { ChatDoor } from '../links.js';
import { endToEnd, forwarded } from './headers.js';
import { refuseRequest, refuseUpgrade } from './refuse.js';
import { tunnel } from './tunnel.js';

/** A long poll is answered within 30 s, a stream begins at once: what has no answer by then will not have one. */
const ANSWER_TIMEOUT_MS = 40_000;
/** Connections to one chat server that are kept for the next request. */
const FREE_SOCKETS_MAX = 256;
/** Agents of chat servers that came and went. */
const DOORS_MAX = 1_000;

const GONE: Refusal = { code: 'unavailable', message: 'The chat server does not answer', retryAfterMs: 1_000 };
const FULL: Refusal = { code: 'overloaded', message: 'Too many connections to this chat server', retryAfterMs: 2_000 };

export interface DoorProxyConfig {
  readonly connectMs: number;
  /** Client connections and requests under way to one chat server; beyond, clients are told `overloaded`. */
  readonly connectionsMax: number;
  readonly tls: LinkTls | undefined;
  readonly log: LinkLog;
}

export interface DoorProxies {
  at(address: string): ChatDoor;
  close(): void;
}

/** The doors of chat servers by address; the one used longest ago is forgotten at the bound. */
export function doorProxies(config: DoorProxyConfig): DoorProxies {
  const doors = new Map<string, DoorProxy>();
  return {
    at(address) {
      const door = doors.get(address) ?? new DoorProxy(address, config);
      doors.delete(address);
      doors.set(address, door);
      const [oldest] = doors;
      if (doors.size > DOORS_MAX && oldest !== undefined) {
        doors.delete(oldest[0]);
        oldest[1].close();
      }
      return door;
    },
    close() {
      for (const door of doors.values()) door.close();
      doors.clear();
    },
  };
}

/** A chat server's door, at another address: requests are sent on, upgraded connections become two sockets and a pipe. */
class DoorProxy implements ChatDoor {
  readonly #host: string;
  readonly #port: number;
  readonly #agent: Agent;
  #open = 0;

  constructor(
    private readonly address: string,
    private readonly config: DoorProxyConfig,
  ) {
    const at = address.lastIndexOf(':');
    this.#host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
    this.#port = Number(address.slice(at + 1));
    // Not bounded by the agent, where requests would wait without one: counted here, and refused.
    const options = { keepAlive: true, maxFreeSockets: FREE_SOCKETS_MAX, scheduling: 'lifo' as const };
    this.#agent =
      config.tls === undefined ? new Agent(options) : new SecureAgent({ ...options, ...secure(config.tls) });
  }

  request(request: IncomingMessage, response: ServerResponse, gone?: () => void): void {
    if (this.#open >= this.config.connectionsMax) return refuseRequest(request, response, FULL);
    this.#open += 1;
    response.once('close', () => (this.#open -= 1));
    this.#send(request, response, true, gone);
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, gone?: () => void): void {
    if (this.#open >= this.config.connectionsMax) return refuseUpgrade(socket, FULL);
    this.#open += 1;
    socket.once('close', () => (this.#open -= 1));
    const { connectMs, tls } = this.config;
    tunnel(request, socket, head, {
      host: this.#host,
      port: this.#port,
      connectMs,
      tls: tls === undefined ? undefined : secure(tls),
      refuse: () => {
        refuseUpgrade(socket, GONE);
        gone?.();
      },
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(request: IncomingMessage, response: ServerResponse, first: boolean, gone?: () => void): void {
    const hasBody =
      request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
    const send = this.config.tls === undefined ? httpRequest : httpsRequest;
    const upstream = send({
      host: this.#host,
      port: this.#port,
      agent: this.#agent,
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      headers: forwarded(request),
      setHost: false,
    });
    let answered = false;
    const cancelTimeouts = this.#timeouts(upstream);
    upstream.once('response', (answer) => {
      answered = true;
      cancelTimeouts();
      passOn(answer, response);
    });
    upstream.on('error', (error: NodeJS.ErrnoException) => {
      cancelTimeouts();
      if (answered || response.destroyed) {
        response.destroy();
        return;
      }
      // The chat server closed a kept connection just as it was used again: nothing of the request was looked at.
      if (first && !hasBody && upstream.reusedSocket && error.code === 'ECONNRESET') {
        this.#send(request, response, false, gone);
        return;
      }
      this.config.log.warn({ err: error, address: this.address }, 'a chat server did not answer');
      refuseRequest(request, response, GONE);
      gone?.();
    });
    // The client left: so does what was asked for it.
    response.once('close', () => upstream.destroy());
    if (hasBody) request.pipe(upstream);
    else upstream.end();
  }

  #timeouts(upstream: ClientRequest): () => void {
    const { connectMs } = this.config;
    const after = (delayMs: number, what: string): NodeJS.Timeout =>
      setTimeout(() => upstream.destroy(new Error(`${this.address} did not ${what} within ${delayMs} ms`)), delayMs);
    const connect = after(connectMs, 'take a connection');
    const answer = after(ANSWER_TIMEOUT_MS, 'answer');
    upstream.once('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => clearTimeout(connect));
      else clearTimeout(connect);
    });
    return () => {
      clearTimeout(connect);
      clearTimeout(answer);
    };
  }
}

/** Every byte as it comes: an event stream's client waits for each. */
function passOn(answer: IncomingMessage, response: ServerResponse): void {
  for (const [name, value] of Object.entries(endToEnd(answer.headers))) {
    if (value !== undefined) response.setHeader(name, value);
  }
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage);
  response.flushHeaders();
  // Either side that breaks takes the other along; `pipeline` has done so when it calls back.
  pipeline(answer, response, () => undefined);
}

const secure = ({ ca, cert, key, serverName }: LinkTls) => ({
  ca,
  cert,
  key,
  ...(serverName === undefined ? {} : { servername: serverName }),
});
