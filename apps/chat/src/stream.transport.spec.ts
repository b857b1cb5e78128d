import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ParleyError } from '@parley/contracts';
import { ManualClock } from '@parley/service-kit';

import { ANN, BOB, newSession, SERVER, turn } from './chat-fixture.js';
import { EncodedFrame } from './encoded-frame.js';
import { Session } from './session.js';
import { StreamTransport } from './stream.transport.js';

let clock: ManualClock;
let streams: StreamTransport;
let server: Server;
let url: string;
let opened: Session[];
let closed: Session[];
let cutOffs: number;

beforeEach(async () => {
  clock = new ManualClock();
  opened = [];
  closed = [];
  cutOffs = 0;
  streams = new StreamTransport({
    clock,
    serverId: SERVER,
    bufferMaxBytes: 256 * 1024,
    async open(ticket, outlet) {
      if (ticket !== 'ann' && ticket !== 'bob') throw new ParleyError('unauthenticated', 'The ticket is not valid');
      const { session: like } = newSession(ticket === 'ann' ? ANN : BOB);
      const identity = { ...like, sessionId: like.id, familyId: null, expiresAtMs: null };
      const session = new Session(identity, outlet, clock.now());
      opened.push(session);
      return session;
    },
    renew(ticket, { userId }) {
      if (ticket !== userId) throw new ParleyError('forbidden', "The cursor is someone else's");
    },
    ready: () => new EncodedFrame({ event: 'session.ready', data: '{}' }),
    closed: (session) => closed.push(session),
    cutOff: () => (cutOffs += 1),
  });
  server = createServer((incoming, outgoing) => streams.request(incoming, outgoing));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  streams.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const say = (at: number, size = 0): void =>
  opened[0]?.deliver(
    new EncodedFrame({ event: 'message.new', data: JSON.stringify({ seq: at, pad: 'x'.repeat(size) }) }),
  );

/** An event stream that is being read; `next` gives the following `event id` lines. */
class Reader {
  #text = '';
  readonly ended: Promise<unknown>;

  private constructor(readonly response: IncomingMessage) {
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => (this.#text += chunk));
    response.on('error', () => undefined);
    this.ended = new Promise((resolve) => response.once('close', resolve));
  }
  static async open(ticket: string, cursor?: string): Promise<Reader> {
    const headers = cursor === undefined ? {} : { 'last-event-id': cursor };
    const [response] = (await once(request(`${url}/v1/events?ticket=${ticket}`, { headers }).end(), 'response')) as [
      IncomingMessage,
    ];
    return new Reader(response);
  }
  async next(count: number): Promise<readonly { event: string; data: string; id: string }[]> {
    const events = () => [...this.#text.matchAll(/event: (.*)\ndata: (.*)\nid: (.*)\n\n/g)];
    while (events().length < count) await once(this.response, 'data');
    return events().map(([, event = '', data = '', id = '']) => ({ event, data, id }));
  }
  async leave(): Promise<void> {
    this.response.destroy();
    // The server has noticed once it answers something else on a connection of its own.
    await this.ended;
    await fetch(`${url}/v1/events/poll?ticket=nobody`);
    await turn();
  }
}
interface Polled {
  readonly status: number;
  readonly body: {
    readonly events: { readonly event: string; readonly data: { seq?: number } }[];
    readonly cursor: string;
    readonly code?: string;
  };
}
async function poll(query: string): Promise<Polled> {
  const response = await fetch(`${url}/v1/events/poll?${query}`);
  return { status: response.status, body: (await response.json()) as Polled['body'] };
}

describe('an event stream', () => {
  it('begins with the session and carries events with their cursors', async () => {
    const reader = await Reader.open('ann');
    expect(reader.response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
    });
    await reader.next(1);
    say(1);
    say(2);
    const events = await reader.next(3);
    expect(events.map(({ event, data }) => [event, (JSON.parse(data) as { seq?: number }).seq])).toEqual([
      ['session.ready', undefined],
      ['message.new', 1],
      ['message.new', 2],
    ]);
    const session = opened[0]?.id ?? '';
    expect(events.map(({ id }) => id)).toEqual([1, 2, 3].map((number) => `chat-1~${session}~${number}`));
  });

  it('goes on after the last event that a reader had, in the same session', async () => {
    const reader = await Reader.open('ann');
    await reader.next(1);
    say(1);
    const [, first] = await reader.next(2);
    await reader.leave();
    say(2);
    say(3);
    const again = await Reader.open('ann', first?.id);
    expect((await again.next(2)).map(({ data }) => (JSON.parse(data) as { seq: number }).seq)).toEqual([2, 3]);
    expect(opened).toHaveLength(1);
  });

  it('says `resync`, in a new session, for a cursor that is not known here', async () => {
    const reader = await Reader.open('ann', 'chat-9~gone~5');
    expect((await reader.next(2)).map(({ event }) => event)).toEqual(['resync', 'session.ready']);
    expect((await (await Reader.open('ann', 'nonsense')).next(2))[0]?.event).toBe('resync');
  });

  it('says `resync` for a cursor that is older than what is kept, and goes on from now', async () => {
    const reader = await Reader.open('ann');
    const [ready] = await reader.next(1);
    await reader.leave();
    for (let at = 1; at <= 2_001; at += 1) say(at);
    const again = await Reader.open('ann', ready?.id);
    expect((await again.next(1))[0]?.event).toBe('resync');
    say(2_002);
    const events = await again.next(2);
    expect(JSON.parse(events[1]?.data ?? '')).toMatchObject({ seq: 2_002 });
  });

  it('keeps no more than a mebibyte for a reader who is away', async () => {
    const reader = await Reader.open('ann');
    const [ready] = await reader.next(1);
    await reader.leave();
    for (let at = 1; at <= 6; at += 1) say(at, 200 * 1024);
    expect((await (await Reader.open('ann', ready?.id)).next(1))[0]?.event).toBe('resync');
  });

  it('is refused to those whose ticket is not good, or whose cursor is someone else’s', async () => {
    const reader = await Reader.open('ann');
    const [ready] = await reader.next(1);
    const stranger = await Reader.open('mallory');
    expect([stranger.response.statusCode, stranger.response.headers['content-type']]).toEqual([
      401,
      'application/problem+json',
    ]);
    expect((await Reader.open('bob', ready?.id)).response.statusCode).toBe(403);
  });

  it('ends with the session, after its last word', async () => {
    const reader = await Reader.open('ann');
    await reader.next(1);
    opened[0]?.close(4001, new EncodedFrame({ event: 'session.expired', data: '{}' }));
    expect((await reader.next(2))[1]?.event).toBe('session.expired');
    await reader.ended;
  });

  it('passes to the newest reader', async () => {
    const first = await Reader.open('ann');
    const [ready] = await first.next(1);
    const second = await Reader.open('ann', ready?.id);
    await first.ended;
    say(1);
    expect((await second.next(1))[0]?.event).toBe('message.new');
  });

  it('cuts off a reader that does not read, at a bound', async () => {
    const reader = await Reader.open('ann');
    await reader.next(1);
    reader.response.pause();
    // More than the kernel's buffers of both sides take.
    for (let at = 1; at <= 100 && cutOffs === 0; at += 1) {
      say(at, 200 * 1024);
      await turn();
    }
    expect(cutOffs).toBe(1);
  });

  it('speaks now and then, so that proxies keep it', async () => {
    const reader = await Reader.open('ann');
    await reader.next(1);
    const comment = once(reader.response, 'data');
    clock.advance(15_000);
    expect(String((await comment)[0])).toBe(': keep-alive\n\n');
  });

  it('is forgotten two minutes after its reader left, and not while it is read', async () => {
    const reader = await Reader.open('ann');
    await reader.next(1);
    clock.advance(600_000);
    expect(closed).toEqual([]);
    await reader.leave();
    clock.advance(119_000);
    expect(closed).toEqual([]);
    clock.advance(10_000);
    expect(closed).toEqual(opened.slice(0, 1));
  });
});

describe('a long poll', () => {
  it('answers at once without a cursor: no events, and the cursor of now', async () => {
    const { status, body } = await poll('ticket=ann');
    expect([status, body]).toEqual([200, { events: [], cursor: `chat-1~${opened[0]?.id ?? ''}~0` }]);
  });

  it('answers with what came since, or as soon as something comes', async () => {
    const { cursor } = (await poll('ticket=ann')).body;
    say(1);
    say(2);
    const { body } = await poll(`ticket=ann&cursor=${cursor}`);
    expect(body.events.map(({ event, data }) => [event, data.seq])).toEqual([
      ['message.new', 1],
      ['message.new', 2],
    ]);
    const waiting = poll(`ticket=ann&cursor=${body.cursor}`);
    await once(server, 'request');
    await turn();
    say(3);
    expect((await waiting).body.events.map(({ data }) => data.seq)).toEqual([3]);
  });

  it('gives the same events again for the same cursor', async () => {
    const { cursor } = (await poll('ticket=ann')).body;
    say(1);
    expect(await poll(`ticket=ann&cursor=${cursor}`)).toEqual(await poll(`ticket=ann&cursor=${cursor}`));
  });

  it('answers with nothing after its time', async () => {
    const { cursor } = (await poll('ticket=ann')).body;
    const waiting = poll(`ticket=ann&cursor=${cursor}&timeoutMs=10000`);
    await once(server, 'request');
    await turn();
    clock.advance(10_000);
    expect((await waiting).body).toEqual({ events: [], cursor });
  });

  it('says `resync` for a cursor that is not known', async () => {
    const { body } = await poll('ticket=ann&cursor=chat-1~gone~4');
    expect(body).toMatchObject({ events: [{ event: 'resync' }], cursor: `chat-1~${opened[0]?.id ?? ''}~0` });
  });

  it('is refused with a problem', async () => {
    expect(await poll('ticket=mallory')).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
  });
});
