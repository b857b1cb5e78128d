import { Metadata, status, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import { type ErrorCode, ParleyError, refusalOf } from '@parley/contracts';

import { Refusal } from '../generated/parley/v1/common.js';
import { LinkDown } from '../links.js';
import { refusalFromMessage, refusalToMessage } from '../messages/refusals.js';
import type { LinkLog } from './config.js';

/** A refusal whole; the status code beside it is for tools that look at gRPC only. */
const REFUSAL_KEY = 'parley-refusal-bin';

const STATUS_OF: Readonly<Record<ErrorCode, status>> = {
  invalid: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  token_expired: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  not_found: status.NOT_FOUND,
  conflict: status.ABORTED,
  idempotency_conflict: status.ALREADY_EXISTS,
  too_large: status.INVALID_ARGUMENT,
  unsupported: status.INVALID_ARGUMENT,
  rate_limited: status.RESOURCE_EXHAUSTED,
  overloaded: status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  internal: status.INTERNAL,
};

/** What a caller is told of anything a service threw; what is not a refusal is logged here and not told. */
export function toldRefusal(error: unknown, what: string, log: LinkLog): Refusal {
  if (!(error instanceof ParleyError)) log.error({ err: error, link: what }, 'a call on a link failed');
  return refusalToMessage(refusalOf(error, 'The request failed'));
}

export function statusOf(
  error: unknown,
  what: string,
  log: LinkLog,
): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const refusal = toldRefusal(error, what, log);
  const { code } = refusalFromMessage(refusal);
  const metadata = new Metadata();
  metadata.set(REFUSAL_KEY, Buffer.from(Refusal.encode(refusal).finish()));
  return { code: STATUS_OF[code], details: code, metadata };
}

/** Never reached the service: it does not exist there. */
const NOT_SENT: ReadonlySet<status> = new Set([status.UNIMPLEMENTED]);
const DOWN: ReadonlySet<status> = new Set([status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED]);

/**
 * The server was closing the connection just then (its age, its end) and looked at nothing: to be sent again. grpc-js
 * 1.14 does so once by itself, which is not always enough, and says it in words only.
 */
export const wasRefused = ({ code, details }: Pick<ServiceError, 'code' | 'details'>): boolean =>
  code === status.UNAVAILABLE && details === 'Stream refused by server';
/** How often. */
export const REFUSED_MAX = 3;

/** The error that a call rejects with, from the status that it or its stream ended with. */
export function errorOf(ended: Pick<ServiceError, 'code' | 'details' | 'metadata'>, where: string): ParleyError {
  const told = ended.metadata.get(REFUSAL_KEY)[0];
  if (Buffer.isBuffer(told)) return ParleyError.from(refusalFromMessage(Refusal.decode(told)));
  if (wasRefused(ended)) return new LinkDown(`${where} takes no calls`, false);
  if (NOT_SENT.has(ended.code)) return new LinkDown(`Nothing of that kind is served at ${where}`, false);
  if (DOWN.has(ended.code)) return new LinkDown(`${where} does not answer: ${ended.details}`, true);
  if (ended.code === status.RESOURCE_EXHAUSTED) {
    // grpc-js: a message beyond the size that one side takes.
    return new ParleyError('overloaded', `${where} refused a message: ${ended.details}`, { retryAfterMs: 1_000 });
  }
  return new ParleyError('internal', 'The request failed');
}
