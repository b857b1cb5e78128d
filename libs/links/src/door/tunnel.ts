import type { IncomingMessage } from 'node:http';
import { connect as connectPlain, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectSecure, type ConnectionOptions } from 'node:tls';

import { forwarded } from './headers.js';

/** From the connection to the chat server's answer. */
const ANSWER_TIMEOUT_MS = 5_000;
/** For what is still unread when one side has closed. */
const CLOSE_TIMEOUT_MS = 5_000;
const SWITCHED = 'HTTP/1.1 101 ';

export interface TunnelTarget {
  readonly host: string;
  readonly port: number;
  readonly connectMs: number;
  readonly tls: ConnectionOptions | undefined;
  /** Answers the client that there is nobody. */
  readonly refuse: () => void;
}

/**
 * Sends an upgrade on and from then on only copies bytes, both ways, each as fast as its reader reads. Nothing that
 * the client says is sent before the chat server has switched protocols: a client whose upgrade was refused cannot
 * speak HTTP to it through here.
 */
export function tunnel(request: IncomingMessage, client: Duplex, head: Buffer, target: TunnelTarget): void {
  const { host, port, tls, connectMs, refuse } = target;
  const server: Socket = tls === undefined ? connectPlain({ host, port }) : connectSecure({ ...tls, host, port });
  server.setNoDelay(true);
  // Waits in the socket until it is connected; held by nothing here, which lives as long as the connection.
  server.write(upgradeHead(request), 'latin1');

  let timeout = setTimeout(() => server.destroy(), connectMs);
  server.once(tls === undefined ? 'connect' : 'secureConnect', () => {
    clearTimeout(timeout);
    timeout = setTimeout(() => server.destroy(), ANSWER_TIMEOUT_MS);
  });

  let answer: Buffer | null = Buffer.alloc(0);
  let early: Buffer | null = head;
  server.on('data', function begin(bytes: Buffer) {
    answer = Buffer.concat([answer ?? bytes, bytes]);
    if (answer.length < SWITCHED.length) return;
    server.off('data', begin);
    clearTimeout(timeout);
    const switched = answer.toString('latin1', 0, SWITCHED.length) === SWITCHED;
    client.write(answer);
    server.pipe(client, { end: false });
    answer = null;
    if (switched) {
      if (early !== null && early.length > 0) server.write(early);
      client.pipe(server, { end: false });
    }
    early = null;
  });

  server.once('end', () => {
    if (answer === null) closeSoon(client);
  });
  server.on('error', ignore);
  server.once('close', () => {
    clearTimeout(timeout);
    if (answer !== null) refuse();
    closeSoon(client);
  });
  client.once('end', () => closeSoon(server));
  client.on('error', ignore);
  client.once('close', () => server.destroy());
}

/** What was written still leaves; then both directions are closed. */
function closeSoon(stream: Duplex): void {
  if (stream.destroyed) return;
  const cut = setTimeout(() => stream.destroy(), CLOSE_TIMEOUT_MS);
  stream.once('close', () => clearTimeout(cut));
  stream.end(() => stream.destroy());
}

/** An error closes, and closing is what both sides act on. */
function ignore(): void {}

function upgradeHead(request: IncomingMessage): string {
  const { 'content-length': _none, ...headers } = forwarded(request);
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((each) => `${name}: ${each}`),
  );
  lines.push('connection: Upgrade', `upgrade: ${request.headers.upgrade ?? 'websocket'}`);
  return `GET ${request.url ?? '/'} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}
