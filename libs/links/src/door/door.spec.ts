import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { buffer, text } from 'node:stream/consumers';

import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';

import { authority, issued } from '../grpc/certificates-fixture.js';
import { openGrpc, type PartialConfig } from '../grpc/grpc-fixture.js';
import type { ChatDoor } from '../links.js';

const SOCKET = '/v1/chat/chat-1/socket.io/?EIO=4&transport=websocket';
const POLL = '/v1/chat/chat-1/socket.io/?EIO=4&transport=polling';
const EVENTS = '/v1/events?ticket=t';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return portOf(server);
}

/** A public server that passes everything to the door at an address, as the gateway does. */
async function gatewayTo(address: string, config: PartialConfig = {}): Promise<number> {
  const links = await openGrpc(config);
  closing.push(() => links.close());
  const server = createServer((request, response) => {
    response.setHeader('X-Request-Id', 'r-1');
    links.connect('chatDoor', address).request(request, response);
  });
  server.on('upgrade', (request: IncomingMessage, socket, head) =>
    links.connect('chatDoor', address).upgrade(request, socket, head),
  );
  return listening(server);
}

/** A chat server's door, and a gateway before it. */
async function passing(door: Partial<ChatDoor>, callee: PartialConfig = {}, caller: PartialConfig = {}) {
  const links = await openGrpc({ door: { host: '127.0.0.1', port: 0 }, closeMs: 50, ...callee });
  closing.push(() => links.close());
  links.serve('chatDoor', links.doorAddress, { request: unexpected, upgrade: unexpected, ...door });
  return { port: await gatewayTo(links.doorAddress, caller), doorAddress: links.doorAddress, links };
}

function unexpected(): void {
  throw new Error('not expected');
}

interface Asked {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

async function ask(port: number, { path, method = 'GET', headers = {}, body }: Asked): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false }, resolve);
    request.once('error', reject);
    request.end(body);
  });
}

const echo = new WebSocketServer({ noServer: true });
const echoing: Partial<ChatDoor> = {
  upgrade: (request, socket, head) =>
    echo.handleUpgrade(request, socket as Socket, head, (ws) =>
      ws.on('message', (message, binary) => ws.send(message, { binary })),
    ),
};

const once = (emitter: WebSocket | Socket, event: string): Promise<unknown[]> =>
  new Promise((resolve) => emitter.once(event, (...args: unknown[]) => resolve(args)));

describe('requests through a door', () => {
  it('arrive with who the client is, and answers come back whole', async () => {
    const seen: IncomingMessage[] = [];
    const bodies: string[] = [];
    const { port } = await passing({
      request(request, response) {
        seen.push(request);
        void text(request).then((body) => {
          bodies.push(body);
          response.writeHead(201, {
            'x-own': 'yes',
            'set-cookie': ['a=1', 'b=2'],
            connection: 'keep-alive, x-hop',
            'x-hop': '1',
          });
          response.end('done');
        });
      },
    });
    const answer = await ask(port, {
      path: POLL,
      method: 'POST',
      body: 'grüß',
      headers: {
        host: 'chat.example',
        'x-forwarded-for': '6.6.6.6',
        'x-forwarded-proto': 'gopher',
        forwarded: 'for=6.6.6.6',
        connection: 'x-private',
        'x-private': 'between us',
        te: 'trailers',
        authorization: 'Bearer t',
      },
    });
    expect([answer.statusCode, await text(answer)]).toEqual([201, 'done']);
    expect(answer.headers).toMatchObject({ 'x-own': 'yes', 'x-request-id': 'r-1', 'set-cookie': ['a=1', 'b=2'] });
    expect(answer.headers).not.toHaveProperty('x-hop');
    expect(bodies).toEqual(['grüß']);
    const { headers, url, method } = seen[0] ?? ({} as IncomingMessage);
    expect([method, url]).toEqual(['POST', POLL]);
    expect(headers).toMatchObject({
      host: 'chat.example',
      authorization: 'Bearer t',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'chat.example',
    });
    for (const name of ['forwarded', 'x-private', 'te']) expect(headers).not.toHaveProperty(name);
  });

  it('stream events as they come, and end when the client leaves', async () => {
    const streams: ServerResponse[] = [];
    const left = Promise.withResolvers<void>();
    const { port } = await passing({
      request(_request, response) {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.flushHeaders();
        response.on('close', left.resolve);
        streams.push(response);
      },
    });
    const answer = await ask(port, { path: EVENTS });
    expect(answer.headers['content-type']).toBe('text/event-stream');
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      streams[0]?.write(event);
      const [chunk] = await new Promise<unknown[]>((resolve) => answer.once('data', (...args) => resolve(args)));
      expect(String(chunk)).toBe(event);
    }
    answer.destroy();
    await left.promise;
  });

  it('are cut off when the chat server dies in the middle of an answer', async () => {
    const { port } = await passing({
      request(_request, response) {
        response.writeHead(200, { 'content-length': '100' });
        response.write('half');
        setImmediate(() => response.destroy());
      },
    });
    const answer = await ask(port, { path: EVENTS });
    await expect(buffer(answer)).rejects.toThrow();
  });

  it('use a connection again', async () => {
    const sockets = new Set<unknown>();
    const { port } = await passing({
      request(request, response) {
        sockets.add(request.socket);
        response.end('ok');
      },
    });
    for (let count = 0; count < 5; count += 1) await text(await ask(port, { path: POLL }));
    expect(sockets.size).toBe(1);
  });

  it('reach nothing but the paths of a chat server', async () => {
    const { doorAddress } = await passing({});
    const port = Number(doorAddress.split(':')[1]);
    for (const path of [
      '/',
      '/metrics',
      '/v1/conversations',
      '/v1/chat/x/other',
      '/v1/eventsx',
      '/v1/chat/../socket.io/',
    ]) {
      const answer = await ask(port, { path });
      expect([path, answer.statusCode]).toEqual([path, 404]);
      answer.resume();
    }
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/events`);
    const [error] = await once(socket, 'error');
    expect(String(error)).toContain('404');
  });

  it('are refused as unavailable, with when to come back, where no chat server is', async () => {
    const port = await gatewayTo('127.0.0.1:1');
    const answer = await ask(port, { path: EVENTS });
    expect([answer.statusCode, answer.headers['retry-after'], answer.headers['content-type']]).toEqual([
      503,
      '1',
      'application/problem+json',
    ]);
    expect(JSON.parse(await text(answer))).toMatchObject({ code: 'unavailable', requestId: 'r-1', retryable: true });
  });

  it('are refused until the chat server serves, and after it no longer does', async () => {
    const links = await openGrpc({ door: { host: '127.0.0.1', port: 0, advertiseHost: '127.0.0.1' } });
    closing.push(() => links.close());
    const port = await gatewayTo(links.doorAddress);
    const status = async (): Promise<unknown> => {
      const answer = await ask(port, { path: POLL });
      answer.resume();
      return answer.statusCode;
    };
    expect(await status()).toBe(503);
    const served = links.serve('chatDoor', links.doorAddress, {
      request: (_request, response) => void response.end(),
      upgrade: unexpected,
    });
    expect(await status()).toBe(200);
    served.close();
    expect(await status()).toBe(503);
  });

  it('are refused as overloaded beyond the bound', async () => {
    const arrived = Promise.withResolvers<ServerResponse>();
    const { port } = await passing(
      { request: (_request, response) => arrived.resolve(response) },
      {},
      { bounds: { doorConnectionsMax: 1 } },
    );
    const first = ask(port, { path: EVENTS });
    const held = await arrived.promise;
    const second = await ask(port, { path: EVENTS });
    expect([second.statusCode, JSON.parse(await text(second))]).toMatchObject([503, { code: 'overloaded' }]);
    held.end();
    (await first).resume();
  });
});

describe('upgraded connections through a door', () => {
  it('carry frames both ways, large ones too', async () => {
    const { port } = await passing(echoing);
    const socket = new WebSocket(`ws://127.0.0.1:${port}${SOCKET}`);
    await once(socket, 'open');
    for (const message of ['hello', 'x'.repeat(5_000_000)]) {
      socket.send(message);
      const [received] = await once(socket, 'message');
      expect(String(received) === message).toBe(true);
    }
    socket.close();
    await once(socket, 'close');
  });

  it('close at both ends when either closes', async () => {
    const sockets: Socket[] = [];
    const { port } = await passing({
      upgrade(request, socket, head) {
        sockets.push(socket as Socket);
        echoing.upgrade?.(request, socket, head);
      },
    });
    const leaving = new WebSocket(`ws://127.0.0.1:${port}${SOCKET}`);
    await once(leaving, 'open');
    const [first] = sockets;
    const gone = first === undefined ? null : once(first, 'close');
    leaving.terminate();
    await gone;
    const left = new WebSocket(`ws://127.0.0.1:${port}${SOCKET}`);
    await once(left, 'open');
    const closed = once(left, 'close');
    sockets[1]?.destroy();
    await closed;
  });

  it('are refused with 503 where no chat server is', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${await gatewayTo('127.0.0.1:1')}${SOCKET}`);
    expect(String((await once(socket, 'error'))[0])).toContain('503');
  });

  it('are refused with 503 when the chat server takes the connection and hangs up', async () => {
    const server = createTcpServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => void server.close());
    const socket = new WebSocket(`ws://127.0.0.1:${await gatewayTo(`127.0.0.1:${portOf(server)}`)}${SOCKET}`);
    expect(String((await once(socket, 'error'))[0])).toContain('503');
  });

  it('pass a refusal on, and nothing that the client says after it', async () => {
    let requests = 0;
    const { port } = await passing({
      request: () => void (requests += 1),
      upgrade: (_request, socket) => void socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno'),
    });
    const client = connect({ host: '127.0.0.1', port });
    const smuggled = `GET ${EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n`;
    client.write(`GET ${SOCKET} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${smuggled}`);
    expect(await text(client)).toBe('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno');
    expect(requests).toBe(0);
  });

  it('go over mutual TLS where links do', async () => {
    const parley = authority('Parley links');
    const { port, doorAddress } = await passing(
      echoing,
      { tls: issued(parley, 'chat') },
      { tls: issued(parley, 'gateway') },
    );
    const socket = new WebSocket(`ws://127.0.0.1:${port}${SOCKET}`);
    await once(socket, 'open');
    socket.send('secret');
    expect(String((await once(socket, 'message'))[0])).toBe('secret');
    socket.terminate();
    const stranger = await gatewayTo(doorAddress, { tls: issued(authority('Someone else'), 'gateway') });
    const answer = await ask(stranger, { path: EVENTS });
    answer.resume();
    expect(answer.statusCode).toBe(503);
  });
});
