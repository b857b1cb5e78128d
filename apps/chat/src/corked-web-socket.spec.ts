import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';

import { CorkedWebSocket, CorkedWebSocketServer } from './corked-web-socket.js';
import { textFrame } from './encoded-frame.js';

let server: CorkedWebSocketServer;
let client: WebSocket;
let socket: CorkedWebSocket;
const received: string[] = [];

beforeEach(async () => {
  server = new CorkedWebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  await once(server, 'listening');
  received.length = 0;
  client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on('message', (text) => received.push(String(text)));
  const [accepted] = (await once(server, 'connection')) as [unknown];
  if (!(accepted instanceof CorkedWebSocket)) throw new Error('The server makes other sockets');
  socket = accepted;
  if (client.readyState !== WebSocket.OPEN) await once(client, 'open');
});
afterEach(async () => {
  client.terminate();
  await new Promise((resolve) => server.close(resolve));
});

/** Counts the writes of the server's side. */
function countWrites(): () => number {
  const write = socket._socket.write.bind(socket._socket);
  let writes = 0;
  socket._socket.write = ((...args: Parameters<typeof write>) => {
    writes += 1;
    return write(...args);
  }) as typeof write;
  return () => writes;
}
const until = async (count: number): Promise<void> => {
  while (received.length < count) await once(client, 'message');
};

describe('a corked web socket', () => {
  it('sends what is due in one turn in one write, in order', async () => {
    const writes = countWrites();
    const expected = Array.from({ length: 10 }, (_, index) => `frame ${index} ${'é'.repeat(index * 50)}`);
    expected.forEach((text, index) => {
      if (index % 3 === 0) socket.send(text);
      else socket.sendEncoded(textFrame(text));
    });
    expect(writes()).toBe(0);
    await until(10);
    expect(received).toEqual(expected);
    expect(writes()).toBe(1);
  });

  it('sends the next turn’s in the next write', async () => {
    const writes = countWrites();
    socket.sendEncoded(textFrame('1'));
    await until(1);
    socket.sendEncoded(textFrame('2'));
    await until(2);
    expect(writes()).toBe(2);
  });

  it('closes after what was queued', async () => {
    socket.sendEncoded(textFrame('last words'));
    socket.flushNow();
    socket.close(1012);
    const [code] = (await once(client, 'close')) as [number];
    expect([received, code]).toEqual([['last words'], 1012]);
  });

  it('lets a socket go that is gone before the turn ends', async () => {
    socket.sendEncoded(textFrame('never'));
    socket.terminate();
    await once(client, 'close');
    expect(received).toEqual([]);
  });

  it('counts what the reader has not taken', async () => {
    client.pause();
    const frame = textFrame('x'.repeat(1024 * 1024));
    for (let sent = 0; sent < 16; sent += 1) {
      socket.sendEncoded(frame);
      socket.flushNow();
    }
    expect(socket.outstanding).toBeGreaterThan(8 * 1024 * 1024);
  });
});
