import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Refusal } from '@parley/contracts';

import type { LinkTls, ListenAddress } from '../grpc/config.js';
import type { ChatDoor } from '../links.js';
import { takesRequest, takesUpgrade } from './paths.js';
import { refuseRequest, refuseUpgrade } from './refuse.js';

/** Longer than gateways keep a connection that they do not use, so that none is closed under a request. */
const KEEP_ALIVE_MS = 65_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** A request with its body; what is answered over hours has none. */
const REQUEST_TIMEOUT_MS = 60_000;

const NOT_HERE: Refusal = { code: 'not_found', message: 'There is no such path here' };
const NOT_YET: Refusal = { code: 'unavailable', message: 'The chat server takes no connections', retryAfterMs: 1_000 };

export interface DoorServer {
  readonly port: number;
  serve(door: ChatDoor): { close(): void };
  /** Takes nothing new; connections that live on after `withinMs` are cut. */
  close(withinMs: number): Promise<void>;
}

/** The port where a chat server takes clients' connections from gateways, at its own paths only. */
export async function listenForClients(listen: ListenAddress, tls: LinkTls | undefined): Promise<DoorServer> {
  const { host, port } = listen;
  const options = {
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    noDelay: true,
  };
  const server: Server =
    tls === undefined
      ? createServer(options)
      : createSecureServer({ ...options, ca: tls.ca, cert: tls.cert, key: tls.key, requestCert: true });
  const upgraded = new Set<Duplex>();
  let door: ChatDoor | null = null;
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!takesRequest(request.url)) refuseRequest(request, response, NOT_HERE);
    else if (door === null) refuseRequest(request, response, NOT_YET);
    else door.request(request, response);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // A connection that breaks closes; there is nothing else to do about it.
    socket.on('error', ignore);
    if (!takesUpgrade(request.url)) return refuseUpgrade(socket, NOT_HERE);
    if (door === null) return refuseUpgrade(socket, NOT_YET);
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    door.upgrade(request, socket, head);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Error(`links: the door cannot listen at ${host}:${port}: ${error.message}`)),
    );
    server.listen({ host, port, backlog: 4_096 }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    serve(service) {
      door = service;
      return { close: () => void (door = null) };
    },
    async close(withinMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const cut = setTimeout(() => {
        server.closeAllConnections();
        for (const socket of upgraded) socket.destroy();
      }, withinMs);
      await closed;
      clearTimeout(cut);
    },
  };
}

function ignore(): void {}
