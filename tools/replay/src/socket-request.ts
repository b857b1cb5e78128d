import {
  CLIENT_EVENTS,
  type ClientAck,
  type ClientEvent,
  type ClientRequest,
  ErrorBody,
  parse,
  ParleyError,
} from '@parley/contracts';
import { NoAnswer } from '@parley/load';
import type { Socket } from 'socket.io-client';
import { z } from 'zod';

const ACK_TIMEOUT_MS = 10_000;

const Acknowledged = z.discriminatedUnion('ok', [
  z.looseObject({ ok: z.literal(true) }),
  z.object({ ok: z.literal(false), error: ErrorBody }),
]);

/** One request over a socket: its acknowledgement, `ParleyError` if refused, `NoAnswer` if nobody knows. */
export async function request<E extends ClientEvent>(
  socket: Socket,
  event: E,
  payload: ClientRequest<E>,
): Promise<ClientAck<E>> {
  let raw: unknown;
  try {
    raw = await socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload);
  } catch (error) {
    throw new NoAnswer(event, error);
  }
  const answer = parse(Acknowledged, raw, `acknowledgement of ${event}`);
  if (answer.ok === false) {
    const { code, message, retryAfterMs, issues } = answer.error;
    throw new ParleyError(code, `${event}: ${message}`, {
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(issues === undefined ? {} : { issues }),
    });
  }
  return parse(CLIENT_EVENTS[event].acknowledgement, raw, `acknowledgement of ${event}`) as ClientAck<E>;
}
