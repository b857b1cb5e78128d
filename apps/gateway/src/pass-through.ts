import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import { DeviceId, ERRORS, ParleyError, parse, parseStreamCursor, refusalOf, toProblem } from '@parley/contracts';
import type { Instance } from '@parley/discovery';
import type { ChatDoor, Links } from '@parley/links';
import { nanoid } from 'nanoid';
import { z } from 'zod';

import type { Admission } from './admission.js';
import type { Assignments } from './assignment.js';
import { given, requestIdFrom } from './http-api.js';

const SOCKET_PATH = /^\/v1\/chat\/([A-Za-z0-9_-]{1,64})\/socket\.io\/?(?:\?|$)/;
const EVENTS_PATH = /^\/v1\/events(?:\/poll)?(?:\?|$)/;

const StreamQuery = z.strictObject({
  cursor: z.string().min(1).max(256).optional(),
  timeoutMs: z
    .string()
    .regex(/^\d{1,5}$/, 'not a number')
    .transform(Number)
    .pipe(z.int().max(30_000))
    .optional(),
  deviceId: DeviceId.optional(),
});

/**
 * Passes sessions through to their chat server: Socket.IO by the path that names it, event streams and polls by their
 * cursor (or, new ones, by assignment) with a ticket made here. The gateway looks at nothing else of them.
 */
export class PassThrough {
  constructor(
    private readonly assignments: Assignments,
    private readonly admission: Admission,
    private readonly links: Links,
  ) {}

  /** True when the request was one to pass on. */
  request(request: IncomingMessage, response: ServerResponse, address: string): boolean {
    const url = request.url ?? '';
    const serverId = SOCKET_PATH.exec(url)?.[1];
    if (serverId !== undefined) {
      this.#answering(response, () => {
        const { door, gone } = this.#door(this.assignments.find(serverId));
        door.request(request, response, gone);
      });
      return true;
    }
    if (request.method !== 'GET' || !EVENTS_PATH.test(url)) return false;
    const requestId = requestIdFrom(request.headers['x-request-id']);
    request.headers['x-request-id'] = requestId;
    response.setHeader('X-Request-Id', requestId);
    response.setHeader('Access-Control-Allow-Origin', '*');
    this.#stream(request, response, address).catch((error: unknown) => refuse(response, error));
    return true;
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const serverId = SOCKET_PATH.exec(request.url ?? '')?.[1];
    try {
      if (serverId === undefined) throw new ParleyError('not_found', 'There is no such socket');
      const { door, gone } = this.#door(this.assignments.find(serverId));
      door.upgrade(request, socket, head, gone);
    } catch (error) {
      const status = error instanceof ParleyError ? ERRORS[error.code].status : 500;
      socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    }
  }

  async #stream(request: IncomingMessage, response: ServerResponse, address: string): Promise<void> {
    const url = new URL(request.url ?? '', 'http://gateway');
    const query = parse(StreamQuery, given(Object.fromEntries(url.searchParams)), 'query');
    const caller = await this.admission.admitStream(request.headers.authorization, address);
    const lastEventId = request.headers['last-event-id'];
    const cursor = typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : query.cursor;
    const named = cursor === undefined ? undefined : parseStreamCursor(cursor)?.serverId;
    const known = named === undefined ? undefined : this.assignments.find(named);
    // One that drains would refuse; the next server reads on from the cursor.
    const server = known === undefined || known.state === 'draining' ? this.assignments.pick() : known;
    const deviceId = query.deviceId ?? (`stream-${nanoid(10)}` as DeviceId);
    const { ticket } = this.assignments.ticket(caller, deviceId, server.instanceId);
    url.searchParams.set('ticket', ticket);
    request.url = `${url.pathname}${url.search}`;
    const { door, gone } = this.#door(server);
    door.request(request, response, gone);
  }

  /** `gone`: nobody is assigned there for a while. */
  #door(server: Instance | undefined): { readonly door: ChatDoor; readonly gone: () => void } {
    if (server === undefined) throw new ParleyError('not_found', 'There is no such chat server; ask for a new session');
    return {
      door: this.links.connect('chatDoor', server.doorAddress ?? server.address),
      gone: () => this.assignments.unreachable(server.instanceId),
    };
  }

  #answering(response: ServerResponse, pass: () => void): void {
    try {
      pass();
    } catch (error) {
      refuse(response, error);
    }
  }
}

function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const refusal = refusalOf(error, 'The request failed');
  const given = response.getHeader('X-Request-Id');
  const requestId = typeof given === 'string' ? given : nanoid();
  response.writeHead(ERRORS[refusal.code].status, {
    'content-type': 'application/problem+json',
    'x-request-id': requestId,
    ...(refusal.retryAfterMs !== undefined ? { 'retry-after': String(Math.ceil(refusal.retryAfterMs / 1_000)) } : {}),
  });
  response.end(JSON.stringify(toProblem(refusal, requestId)));
}
