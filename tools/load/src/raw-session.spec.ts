import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';

import { RawSession, type SessionAddress } from './raw-session.js';

describe('RawSession against a real Socket.IO server', () => {
  let http: HttpServer;
  let io: Server;
  let address: SessionAddress;

  beforeAll(async () => {
    http = createServer();
    io = new Server(http, { path: '/chat/1/', pingInterval: 50, pingTimeout: 200, transports: ['websocket'] });
    io.use((socket, next) => next(socket.handshake.auth['ticket'] === 'good' ? undefined : new Error('bad ticket')));
    io.on('connection', (socket) => {
      socket.emit('session.ready', { userId: 'u' });
      socket.on('message.send', (body: { text: string }, ack: (answer: unknown) => void) => {
        io.emit('message.new', body);
        ack(body.text === '' ? { ok: false, error: { code: 'invalid' } } : { ok: true });
      });
      socket.on('leave', () => socket.disconnect(true));
    });
    await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
    address = { host: '127.0.0.1', port: (http.address() as AddressInfo).port, path: '/chat/1/', ticket: 'good' };
  });

  afterAll(async () => {
    await io.close();
  });

  it('gets acknowledgements and events', async () => {
    const events: string[] = [];
    let heard: () => void;
    const received = new Promise<void>((resolve) => (heard = resolve));
    const session = await RawSession.open(address, {
      onEvent: (frame, start, end) => {
        events.push(frame.toString('utf8', start, end));
        heard();
      },
    });
    const text = 'long '.repeat(30_000);
    const ok = await new Promise((resolve) => session.emit('message.send', JSON.stringify({ text }), resolve));
    await received;
    expect(ok).toBe(true);
    expect(events).toEqual([`42["message.new",${JSON.stringify({ text })}]`]);
    const refused = await new Promise((resolve) => session.emit('message.send', '{"text":""}', resolve));
    expect(refused).toBe(false);
    session.close();
  });

  it('answers pings, so that the server keeps it', async () => {
    const session = await RawSession.open(address, {});
    await new Promise<void>((resolve) => {
      let pings = 0;
      const [raw] = Object.values(io.engine['clients'] as object).slice(-1);
      (raw as { on(event: string, listener: () => void): void }).on('heartbeat', () => {
        pings += 1;
        if (pings === 3) resolve();
      });
    });
    expect(session.open).toBe(true);
    session.close();
  });

  it('fails what is pending when the server closes', async () => {
    let closed: (why: string) => void;
    const reason = new Promise<string>((resolve) => (closed = resolve));
    const session = await RawSession.open(address, { onClose: (why) => closed(why) });
    const ok = await new Promise((resolve) => session.emit('leave', '{}', resolve));
    expect(ok).toBe(false);
    expect(await reason).not.toBe('');
    expect(session.open).toBe(false);
  });

  it('is refused with a bad ticket', async () => {
    await expect(RawSession.open({ ...address, ticket: 'bad' }, {})).rejects.toThrow('bad ticket');
  });
});
