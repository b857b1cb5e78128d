import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventOf, LogEntry, toErrorBody, toProblem } from '@parley/contracts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, type Socket } from 'socket.io';

import { type Interval, intervalsOf } from './history.js';
import { replay, type ReplayReport } from './replay.js';

interface Room {
  readonly id: string;
  readonly ownerId: string;
  readonly log: LogEntry[];
}
type Faults = Partial<Record<'dropEvery' | 'cutAfter', number>> & { leak?: boolean; forget?: boolean; twice?: boolean };

/** As much of the contract as a replay uses, in memory, with faults to plant. */
class FakeServer {
  readonly #http: HttpServer = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const answer = this.#rest(request, body);
      response.statusCode = answer.status;
      response.end(JSON.stringify(answer.body));
    });
  });
  readonly #io = new Server(this.#http, { path: '/chat/', transports: ['websocket'] });
  readonly #rooms = new Map<string, Room>();
  readonly #users = new Map<string, object>();
  readonly #faults: Faults;
  #pushed = 0;

  constructor(faults: Faults) {
    this.#faults = faults;
    this.#io.on('connection', (socket) => this.#session(socket));
  }

  async listen(): Promise<string> {
    await new Promise<void>((done) => this.#http.listen(0, '127.0.0.1', done));
    return this.url;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await this.#io.close();
  }

  #rest(request: IncomingMessage, body: Record<string, unknown>): { status: number; body: unknown } {
    const url = new URL(request.url ?? '', this.url);
    const [, , area = '', id = '', what = '', at = '', more = ''] = url.pathname.split('/');
    const me = request.headers.authorization?.slice(7) ?? '';
    if (area === 'auth') return { status: 201, body: this.#register(body) };
    if (area === 'session') {
      const expiresAt = new Date().toISOString();
      return { status: 200, body: { url: this.url, path: '/chat/', ticket: me, expiresAt, serverId: 's' } };
    }
    if (area === 'me') return { status: 200, body: this.#users.get(me) };
    if (area === 'messages') {
      const room = this.#rooms.get(url.searchParams.get('conversationId') ?? '');
      const member = room !== undefined && this.#intervals(room, me).at(-1)?.left === Infinity;
      if (!member) return { status: 404, body: toProblem({ code: 'not_found', message: 'no such conversation' }, 'r') };
      return { status: 200, body: this.#page(room, me, Number(url.searchParams.get('after'))) };
    }
    const room = this.#rooms.get(id) ?? { id: `c${this.#rooms.size}`, ownerId: me, log: [] };
    this.#rooms.set(room.id, room);
    const common = { kind: 'member', userIds: [me] };
    if (what === 'join') this.#append(room, me, { ...common, op: 'added' });
    else if (what === 'leave') this.#append(room, me, { ...common, op: 'removed' });
    else if (what === 'members' && request.method === 'POST') {
      const entry = this.#append(room, me, { kind: 'member', op: 'added', userIds: body['userIds'] });
      return { status: 200, body: { seq: entry.seq, added: body['userIds'] } };
    } else if (what === 'members') {
      this.#append(room, me, { kind: 'member', op: 'role', userIds: [at], role: 'admin' });
      const member = { user: this.#users.get(at), role: 'admin', joinedAt: new Date().toISOString() };
      return { status: 200, body: member };
    } else if (what === 'messages' && more === 'pin') {
      const op = request.method === 'PUT' ? 'add' : 'remove';
      const { seq } = this.#append(room, me, { kind: 'pin', op, targetSeq: Number(at) });
      return { status: 200, body: { seq } };
    } else if (request.method === 'PATCH') this.#append(room, me, { kind: 'settings', changes: body });
    if (what === 'leave') return { status: 204, body: null };
    return { status: request.method === 'POST' && what === '' ? 201 : 200, body: view(room) };
  }

  #register(body: Record<string, unknown>): unknown {
    const user = { id: `u${this.#users.size}`, username: body['username'], displayName: body['displayName'] };
    this.#users.set(user.id, user);
    return { user, accessToken: user.id, refreshToken: 'r', expiresIn: 900 };
  }

  #session(socket: Socket): void {
    const me = String(socket.handshake.auth['ticket']);
    socket.data = me;
    const limits = { frameMaxBytes: 1, textMaxUnits: 1, sendsPerSecond: 1, sendsBurst: 1 };
    socket.emit('session.ready', { userId: me, deviceId: 'd', serverId: 's', sessionId: socket.id, limits });
    const on = (event: string, act: (room: Room, body: Record<string, unknown>) => object): void => {
      socket.on(event, (body: Record<string, unknown>, ack: (answer: object) => void) => {
        const room = this.#rooms.get(String(body['conversationId'] ?? Object.keys(body['cursors'] ?? {})[0]));
        if (room === undefined) ack({ ok: false, error: toErrorBody({ code: 'not_found', message: 'no room' }, 'r') });
        else ack({ ok: true, ...act(room, body) });
      });
    };
    on('message.send', (room, { conversationId: _conversation, ...body }) => {
      const first = room.log.find(
        (entry) => entry.kind === 'message' && entry.senderId === me && entry.clientId === body['clientId'],
      );
      const message =
        first !== undefined && this.#faults.twice !== true
          ? first
          : this.#append(room, me, { kind: 'message', ...body }, socket);
      return { message };
    });
    on('message.edit', (room, { seq, content }) => ({
      seq: this.#append(room, me, { kind: 'edit', targetSeq: seq, content }, socket).seq,
    }));
    on('message.delete', (room, { seq }) => {
      const entry = this.#append(room, me, { kind: 'delete', targetSeq: seq }, socket);
      const target = room.log[Number(seq) - 1];
      if (target?.kind === 'message') room.log[Number(seq) - 1] = { ...target, content: null, deletedAt: entry.sentAt };
      return { seq: entry.seq };
    });
    for (const op of ['add', 'remove']) {
      on(`reaction.${op}`, (room, { seq, emoji }) => ({
        seq: this.#append(room, me, { kind: 'reaction', op, emoji, targetSeq: seq }, socket).seq,
      }));
    }
    on('sync', (room, { cursors }) => {
      const page = this.#page(room, me, Number(Object.values(cursors as object)[0]));
      return { changed: [{ conversationId: room.id, ...page }], added: [], removed: [] };
    });
  }

  #append(room: Room, senderId: string, fields: object, origin?: Socket): LogEntry {
    const seq = room.log.length + 1;
    const sentAt = new Date().toISOString();
    const entry = LogEntry.parse({
      conversationId: room.id,
      seq,
      id: `${room.id}.${seq}`,
      senderId,
      sentAt,
      ...fields,
    });
    room.log.push(entry);
    const intervals = intervalsOf(room.log, room.ownerId);
    for (const socket of this.#io.sockets.sockets.values()) {
      const covered = visible(intervals.get(String(socket.data)) ?? [], seq);
      if (socket === origin || (!covered && this.#faults.leak !== true)) continue;
      this.#pushed += 1;
      if (this.#faults.dropEvery !== undefined && this.#pushed % this.#faults.dropEvery === 0) continue;
      socket.emit(eventOf(entry), entry);
    }
    if (seq === this.#faults.cutAfter) {
      for (const socket of this.#io.sockets.sockets.values()) socket.disconnect(true);
    }
    return entry;
  }

  #page(room: Room, userId: string, after: number): object {
    const own = this.#intervals(room, userId);
    const entries = room.log.filter(({ seq }) => seq > after && visible(own, seq));
    if (this.#faults.forget === true) entries.splice(3, 1);
    return { entries, cursor: room.log.length, hasMore: false, head: room.log.length };
  }

  #intervals(room: Room, userId: string): readonly Interval[] {
    return intervalsOf(room.log, room.ownerId).get(userId) ?? [];
  }
}

const visible = (own: readonly Interval[], seq: number): boolean =>
  own.some(({ joined, left }) => joined <= seq && seq <= left);

function view(room: Room): object {
  const at = new Date().toISOString();
  return {
    ...{
      id: room.id,
      type: 'channel',
      name: null,
      topic: null,
      visibility: 'public',
      history: 'joined',
      memberCount: 1,
    },
    ...{
      createdBy: room.ownerId,
      createdAt: at,
      updatedAt: at,
      head: room.log.length,
      readSeq: 0,
      unread: 0,
      mentions: 0,
    },
    lastMessage: null,
  };
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
}

const NICKS = ['ann', 'bob', 'cy', 'dee', 'eve'];
/** 150 lines in which people come, go, come again and change name. */
const LOG = Array.from({ length: 150 }, (_none, line) => {
  const nick = NICKS[(line * 7) % NICKS.length];
  if (line % 31 === 20) return `=== ${nick} [h@x]  has left #u []`;
  if (line % 31 === 24) return `=== ${nick} [h@x]  has joined #u`;
  if (line % 40 === 39) return `=== ${nick} is now known as ${nick}_${line}`;
  return `[10:${String(Math.floor(line / 10)).padStart(2, '0')}] <${nick}> line ${line}`;
}).join('\n');

describe('replay', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'parley-replay-spec-'));
    writeFileSync(join(dir, 'small.raw.txt'), LOG);
    writeFileSync(join(dir, 'small.annotation.txt'), '1 5 -\n2 9 -\n40 60 -\n');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  async function against(faults: Faults): Promise<ReplayReport> {
    const server = new FakeServer(faults);
    try {
      // `random: () => 0` reconnects after half a second, the least that the backoff gives.
      return await replay({
        url: await server.listen(),
        speed: 'max',
        logs: [join(dir, 'small.raw.txt')],
        random: () => 0,
      });
    } finally {
      await server.close();
    }
  }

  it('proves a server that keeps its promises, with every kind of entry', async () => {
    const report = await against({});
    const [conversation] = report.conversations;
    expect(conversation?.failures).toEqual([]);
    expect(conversation?.verdict.violations).toEqual([]);
    expect(report.ok).toBe(true);
    expect(conversation?.sent).toBeGreaterThan(100);
    expect(conversation?.acknowledged).toBe(conversation?.sent);
    expect(Object.keys(conversation?.entries ?? {}).sort()).toEqual([
      'delete',
      'edit',
      'member',
      'message',
      'pin',
      'reaction',
      'settings',
    ]);
  });

  it('proves it as well when live events are lost and every connection breaks', async () => {
    const report = await against({ dropEvery: 10, cutAfter: 60 });
    expect(report.conversations[0]?.failures).toEqual([]);
    expect(report.conversations[0]?.verdict.violations).toEqual([]);
    expect(report.conversations[0]?.reconnections).toBeGreaterThan(3);
    expect(report.conversations[0]?.fetched).toBeGreaterThan(0);
    expect(report.ok).toBe(true);
  });

  it('finds a server that pushes to people who left or have not joined', async () => {
    const report = await against({ leak: true });
    expect(report.conversations[0]?.verdict.counts.leaked).toBeGreaterThan(0);
    expect(report.ok).toBe(false);
  });

  it('finds a server that forgets an entry', async () => {
    const report = await against({ forget: true });
    expect(report.conversations[0]?.verdict.counts.lost).toBeGreaterThan(0);
    expect(report.ok).toBe(false);
  });

  it('finds a server that takes a resend for another message', async () => {
    const report = await against({ twice: true, cutAfter: 60 });
    expect(report.conversations[0]?.verdict.counts.duplicated).toBeGreaterThan(0);
    expect(report.ok).toBe(false);
  });
});
