import {
  CLIENT_EVENTS,
  type ClientEvent,
  type ErrorBody,
  LIMITS,
  ParleyError,
  parse,
  type Refusal,
  refusalOf,
  type Scope,
  toErrorBody,
} from '@parley/contracts';
import type { BucketSpec, RateLimiter } from '@parley/rate-limiter';
import type { ServiceContext } from '@parley/service-kit';

import type { ChatConfig } from './config.js';
import type { Load, Shed } from './load.js';
import type { ChatMetrics } from './metrics.js';
import type { PresenceFeed } from './presence-feed.js';
import type { requestHandlers } from './requests.js';
import type { Session } from './session.js';

/** Requests of one session whose acknowledgement is due; beyond, it is told `overloaded`. */
const IN_FLIGHT_MAX = 1_000;

/** Acknowledgements, as the contract says. */
export type Acknowledgement = ({ readonly ok: true } & object) | { readonly ok: false; readonly error: ErrorBody };

/** What a request costs and when it is shed. */
type RequestClass = 'send' | 'lossy' | 'other';
const CLASSES: Readonly<Record<ClientEvent, RequestClass>> = {
  'message.send': 'send',
  'message.edit': 'send',
  'message.delete': 'send',
  'reaction.add': 'send',
  'reaction.remove': 'send',
  'read.mark': 'other',
  'delivered.mark': 'lossy',
  'typing.start': 'lossy',
  'typing.stop': 'lossy',
  'presence.subscribe': 'lossy',
  'presence.unsubscribe': 'other',
  sync: 'other',
};
/** What an API key needs for a request; people need none. */
const SCOPES: Readonly<Record<RequestClass, Scope>> = {
  send: 'messages:write',
  lossy: 'messages:read',
  other: 'messages:read',
};
const SHED_AS: Readonly<Record<RequestClass, Shed | null>> = { send: 'sends', lossy: 'lossy', other: null };

/** The marker that the bounded decoder puts in place of a frame that is too large to be parsed. */
export const OVERSIZED_EVENT = 'parley.oversized';

/** Refusals that count towards closing a session that does not stop. */
const MISBEHAVIOUR: ReadonlySet<string> = new Set(['too_large', 'rate_limited', 'unknown_event']);

export interface DispatcherPorts {
  readonly handlers: ReturnType<typeof requestHandlers>;
  readonly limiter: RateLimiter;
  readonly load: Load;
  readonly presence: PresenceFeed;
  readonly context: ServiceContext;
  readonly metrics: ChatMetrics;
  readonly config: ChatConfig;
  /** Closes a session that misbehaves. */
  readonly expel: (session: Session) => void;
}

/** The one place where socket requests enter: limits, parsing, the handler, the acknowledgement. */
export class Dispatcher {
  readonly #ports: DispatcherPorts;
  readonly #sends: BucketSpec;
  readonly #events: BucketSpec;
  #requests = 0;

  constructor(ports: DispatcherPorts) {
    const { config } = ports;
    this.#ports = ports;
    this.#sends = { perSecond: config.PARLEY_SENDS_PER_SECOND, burst: config.PARLEY_SENDS_BURST };
    this.#events = { perSecond: config.PARLEY_EVENTS_PER_SECOND, burst: config.PARLEY_EVENTS_BURST };
  }

  /** Never throws; answers once. */
  async dispatch(session: Session, event: string, args: readonly unknown[]): Promise<Acknowledgement> {
    const { context, metrics } = this.#ports;
    this.#requests += 1;
    const requestId = `${session.id}-${this.#requests}`;
    const startedMs = performance.now();
    const known = isClientEvent(event);
    const span = context.tracing.span('chat', known ? event : 'unknown', undefined, { 'parley.request_id': requestId });
    session.inFlight += 1;
    try {
      if (!known) throw unknownEvent(event);
      const result = await this.#handle(session, event, args, { session, requestId, traceparent: span.traceparent });
      metrics.requests.inc({ event, outcome: 'ok' });
      metrics.ackSeconds.observe({ event }, (performance.now() - startedMs) / 1_000);
      span.end();
      return { ok: true, ...result };
    } catch (error) {
      span.end(error);
      return { ok: false, error: toErrorBody(this.#refusal(session, event, known, requestId, error), requestId) };
    } finally {
      session.inFlight -= 1;
    }
  }

  async #handle<E extends ClientEvent>(
    session: Session,
    event: E,
    args: readonly unknown[],
    meta: Parameters<ReturnType<typeof requestHandlers>[E]>[1],
  ): Promise<object> {
    const { handlers, presence } = this.#ports;
    if (args.length !== 1) throw new ParleyError('invalid', `${event} takes one object`);
    this.#admit(session, event);
    const request = parse(CLIENT_EVENTS[event].request, args[0], event);
    presence.active(session);
    // `request` was parsed by the schema of this very event.
    const handler = handlers[event] as (request: unknown, meta: unknown) => Promise<object>;
    return handler(request, meta);
  }

  #admit(session: Session, event: ClientEvent): void {
    const { load, limiter, config, metrics } = this.#ports;
    const requestClass = CLASSES[event];
    if (session.scopes !== null && !session.scopes.includes(SCOPES[requestClass])) {
      throw new ParleyError('forbidden', `The API key lacks the scope ${SCOPES[requestClass]}`);
    }
    const shed = SHED_AS[requestClass];
    if (shed !== null && load.sheds(shed)) {
      metrics.drops.inc({ reason: `shed_${requestClass}` });
      throw new ParleyError('overloaded', 'The server is overloaded', { retryAfterMs: 2_000 });
    }
    if (session.inFlight > IN_FLIGHT_MAX) {
      throw new ParleyError('overloaded', `More than ${IN_FLIGHT_MAX} requests are in flight`, { retryAfterMs: 100 });
    }
    if (config.PARLEY_RATE_LIMITS === 'off') return;
    const taken =
      requestClass === 'send'
        ? limiter.take(`send:${session.userId}`, this.#sends)
        : limiter.take(`event:${session.userId}`, this.#events);
    if (!taken.ok) throw rateLimited(taken.retryAfterMs);
  }

  #refusal(session: Session, event: string, known: boolean, requestId: string, error: unknown): Refusal {
    const { context, metrics, expel } = this.#ports;
    const refusal = refusalOf(error, 'The request failed');
    const { code } = refusal;
    metrics.requests.inc({ event: known ? event : 'unknown', outcome: code });
    if (code === 'internal')
      context.log.error({ err: error, requestId, event, userId: session.userId }, 'request failed');
    if (MISBEHAVIOUR.has(known ? code : event === OVERSIZED_EVENT ? 'too_large' : 'unknown_event')) {
      if (session.misbehaved(context.clock.now())) {
        // After the acknowledgement of this one.
        setImmediate(() => expel(session));
      }
    }
    return refusal;
  }
}

function isClientEvent(event: string): event is ClientEvent {
  return Object.hasOwn(CLIENT_EVENTS, event);
}

function unknownEvent(event: string): ParleyError {
  return event === OVERSIZED_EVENT
    ? new ParleyError('too_large', `A frame has at most ${LIMITS.frameMaxBytes} bytes`)
    : new ParleyError('invalid', `There is no event ${event.slice(0, 64)}`);
}

function rateLimited(retryAfterMs: number): ParleyError {
  return new ParleyError('rate_limited', 'Too many requests', { retryAfterMs });
}
