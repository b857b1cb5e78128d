import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import { ERRORS, type Refusal, toProblem } from '@parley/contracts';

const retryAfterSeconds = ({ retryAfterMs }: Refusal): string | undefined =>
  retryAfterMs === undefined ? undefined : String(Math.ceil(retryAfterMs / 1_000));

/** As the gateway refuses: problem details, and when to come back. Once an answer has begun, it can only be cut off. */
export function refuseRequest(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const given = response.getHeader('X-Request-Id') ?? request.headers['x-request-id'];
  const requestId = typeof given === 'string' ? given : randomUUID();
  const retryAfter = retryAfterSeconds(refusal);
  response.writeHead(ERRORS[refusal.code].status, {
    'content-type': 'application/problem+json',
    'x-request-id': requestId,
    ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
  });
  response.end(JSON.stringify(toProblem(refusal, requestId)));
}

export function refuseUpgrade(socket: Duplex, refusal: Refusal): void {
  if (socket.destroyed) return;
  const retryAfter = retryAfterSeconds(refusal);
  const head = [
    `HTTP/1.1 ${ERRORS[refusal.code].status} Refused`,
    'Connection: close',
    'Content-Length: 0',
    ...(retryAfter === undefined ? [] : [`Retry-After: ${retryAfter}`]),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n`);
}
