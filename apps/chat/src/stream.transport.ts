import type { IncomingMessage, ServerResponse } from 'node:http';

import {
  ERRORS,
  type InstanceId,
  parseStreamCursor,
  refusalOf,
  type SessionId,
  toProblem,
  type UserId,
} from '@parley/contracts';
import type { Clock, Timer } from '@parley/service-kit';

import { EncodedFrame } from './encoded-frame.js';
import type { CloseCode, Outlet, Session } from './session.js';

/** How long a stream's events wait for its reader to come back. */
const DETACHED_TTL_MS = 120_000;
const BUFFER_EVENTS_MAX = 2_000;
const BUFFER_BYTES_MAX = 1024 * 1024;
const POLL_TIMEOUT_MAX_MS = 30_000;
const POLL_TIMEOUT_DEFAULT_MS = 25_000;
/** A comment now and then keeps proxies from closing an idle stream. */
const KEEP_ALIVE_MS = 15_000;
const SWEEP_EVERY_MS = 5_000;
/** Streams of one user on one server; beyond, the one that was left longest ago ends. */
const STREAMS_PER_USER_MAX = 20;

export interface StreamPorts {
  readonly clock: Clock;
  readonly serverId: InstanceId;
  readonly bufferMaxBytes: number;
  /** Verifies the ticket and opens the session. */
  readonly open: (ticket: string, outlet: Outlet) => Promise<Session>;
  /** Verifies the ticket of a reader who comes back; renews what the session lives by. */
  readonly renew: (ticket: string, session: Session) => void;
  readonly ready: (session: Session) => EncodedFrame;
  readonly closed: (session: Session) => void;
  readonly cutOff: () => void;
}

/** The latest events of one session, numbered, and whoever is reading them. */
class Stream implements Outlet {
  readonly kind = 'stream';
  session: Session | undefined;
  detachedAtMs: number;
  #events: { readonly number: number; readonly frame: EncodedFrame }[] = [];
  #bytes = 0;
  #last = 0;
  #reader: { readonly wake: () => void; readonly end: () => void } | undefined;
  ended = false;

  constructor(nowMs: number) {
    this.detachedAtMs = nowMs;
  }

  get last(): number {
    return this.#last;
  }

  get attached(): boolean {
    return this.#reader !== undefined;
  }

  deliver(frame: EncodedFrame): void {
    this.#last += 1;
    this.#events.push({ number: this.#last, frame });
    this.#bytes += frame.bytes;
    // At the bound the oldest go: a reader who still needs them is told to resync.
    while (this.#events.length > BUFFER_EVENTS_MAX || this.#bytes > BUFFER_BYTES_MAX) {
      this.#bytes -= this.#events.shift()?.frame.bytes ?? 0;
    }
    this.#reader?.wake();
  }

  close(_code: CloseCode): void {
    this.ended = true;
    this.#reader?.end();
  }

  /** Events after a position; null when some of them are gone. */
  after(position: number): readonly { readonly number: number; readonly frame: EncodedFrame }[] | null {
    const first = this.#events[0]?.number ?? this.#last + 1;
    if (position > this.#last || position < first - 1) return null;
    return this.#events.filter(({ number }) => number > position);
  }

  /** One reader at a time: a new one takes over from the old. */
  attach(reader: { readonly wake: () => void; readonly end: () => void }): void {
    this.#reader?.end();
    this.#reader = reader;
  }

  detach(reader: object, nowMs: number): void {
    if (this.#reader !== reader) return;
    this.#reader = undefined;
    this.detachedAtMs = nowMs;
  }
}

/** SSE and long poll: sessions like any other, whose frames are kept for a reader who comes and goes. */
export class StreamTransport {
  readonly #streams = new Map<SessionId, Stream>();
  readonly #sweep: Timer;

  constructor(private readonly ports: StreamPorts) {
    this.#sweep = ports.clock.every(SWEEP_EVERY_MS, () => this.#expire());
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://chat');
    const serve = url.pathname.endsWith('/poll') ? this.#poll(url, response) : this.#events(url, request, response);
    serve.catch((error: unknown) => refuse(response, error, String(request.headers['x-request-id'] ?? '')));
  }

  close(): void {
    this.#sweep.cancel();
    for (const stream of this.#streams.values()) stream.close(1001);
  }

  async #events(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const header = request.headers['last-event-id'];
    const given = (typeof header === 'string' && header !== '' ? header : undefined) ?? url.searchParams.get('cursor');
    const { stream, session, position, resync } = await this.#resume(url, given);
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      connection: 'keep-alive',
    });
    response.flushHeaders();
    let at = position;
    const id = (): string => this.#cursor(session, at);
    if (resync) response.write(RESYNC.eventStream(id()));
    const write = (): void => {
      if (response.destroyed) return;
      for (const { number, frame } of stream.after(at) ?? []) {
        at = number;
        response.write(frame.eventStream(id()));
      }
      if (response.writableLength > this.ports.bufferMaxBytes) {
        this.ports.cutOff();
        response.destroy();
      }
    };
    const keepAlive = this.ports.clock.every(KEEP_ALIVE_MS, () => response.write(': keep-alive\n\n'));
    const reader = {
      wake: write,
      end: () => {
        write();
        response.end();
      },
    };
    stream.attach(reader);
    response.on('close', () => {
      keepAlive.cancel();
      stream.detach(reader, this.ports.clock.now());
    });
    write();
  }

  async #poll(url: URL, response: ServerResponse): Promise<void> {
    const given = url.searchParams.get('cursor');
    const { stream, session, position, resync } = await this.#resume(url, given);
    const answer = (): void => {
      const events = (stream.after(position) ?? []).map(
        ({ frame }) => `{"event":${JSON.stringify(frame.event)},"data":${frame.data}}`,
      );
      if (resync) events.unshift('{"event":"resync","data":{}}');
      const cursor = JSON.stringify(this.#cursor(session, stream.last));
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(`{"events":[${events.join(',')}],"cursor":${cursor}}`);
    };
    const due = stream.after(position);
    if (given === null || resync || stream.ended || (due !== null && due.length > 0)) return answer();
    await new Promise<void>((resolve) => {
      const reader = { wake: () => done(answer), end: () => done(answer) };
      const timeout = this.ports.clock.after(pollTimeoutMs(url), () => done(answer));
      const done = (then?: () => void): void => {
        timeout.cancel();
        stream.detach(reader, this.ports.clock.now());
        then?.();
        resolve();
      };
      response.on('close', () => done());
      stream.attach(reader);
    });
  }

  /** The reader's own stream, if this server still has it; else a new one, and `resync` if there was a cursor. */
  async #resume(url: URL, given: string | null) {
    const ticket = url.searchParams.get('ticket') ?? '';
    const cursor = given === null ? null : parseStreamCursor(given);
    const known = cursor?.serverId === this.ports.serverId ? this.#streams.get(cursor.sessionId) : undefined;
    if (cursor !== null && known?.session !== undefined && !known.ended) {
      this.ports.renew(ticket, known.session);
      const gone = known.after(cursor.after) === null;
      return { stream: known, session: known.session, position: gone ? known.last : cursor.after, resync: gone };
    }
    const stream = new Stream(this.ports.clock.now());
    const session = await this.ports.open(ticket, stream);
    this.#makeRoom(session.userId);
    stream.session = session;
    this.#streams.set(session.id, stream);
    const poll = url.pathname.endsWith('/poll');
    session.ready(poll ? null : this.ports.ready(session));
    return { stream, session, position: 0, resync: given !== null };
  }

  #makeRoom(userId: UserId): void {
    const own = [...this.#streams.values()].filter(({ session }) => session?.userId === userId);
    if (own.length < STREAMS_PER_USER_MAX) return;
    const left = own.filter(({ attached }) => !attached).sort((a, b) => a.detachedAtMs - b.detachedAtMs);
    const oldest = left[0] ?? own[0];
    if (oldest?.session === undefined) return;
    oldest.session.close(1013);
    this.#streams.delete(oldest.session.id);
    this.ports.closed(oldest.session);
  }

  #cursor(session: Session, number: number): string {
    return `${this.ports.serverId}~${session.id}~${number}`;
  }

  #expire(): void {
    const before = this.ports.clock.now() - DETACHED_TTL_MS;
    for (const [sessionId, stream] of this.#streams) {
      if (!stream.ended && (stream.attached || stream.detachedAtMs > before)) continue;
      this.#streams.delete(sessionId);
      if (stream.session !== undefined) this.ports.closed(stream.session);
    }
  }
}

const RESYNC = new EncodedFrame({ event: 'resync', data: '{}' });

function pollTimeoutMs(url: URL): number {
  const given = url.searchParams.get('timeoutMs');
  return given === null ? POLL_TIMEOUT_DEFAULT_MS : Math.min(POLL_TIMEOUT_MAX_MS, Number(given));
}

function refuse(response: ServerResponse, error: unknown, requestId: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const refusal = refusalOf(error, 'The stream failed');
  response.writeHead(ERRORS[refusal.code].status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify(toProblem(refusal, requestId)));
}
