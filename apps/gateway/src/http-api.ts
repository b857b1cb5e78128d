import {
  type ErrorCode,
  ERRORS,
  LIMITS,
  ParleyError,
  parse,
  refusalOf,
  type Route,
  type RouteAnswer,
  type RouteInput,
  type RouteName,
  ROUTES,
  toProblem,
} from '@parley/contracts';
import type { ServiceContext } from '@parley/service-kit';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { nanoid } from 'nanoid';
import { z } from 'zod';

import type { Caller } from './accounts/caller.js';
import type { Admission } from './admission.js';

/** Who asks, and how it is to be found again. */
export interface HandlerContext {
  readonly caller: Caller;
  readonly requestId: string;
  readonly address: string;
  /** The address that the client used to reach the gateway. */
  readonly origin: string;
  readonly receivedAtMs: number;
  readonly traceparent: string | undefined;
}
/** For routes that are open to everyone. */
export type OpenContext = Omit<HandlerContext, 'caller'>;

type ContextOf<N extends RouteName> = (typeof ROUTES)[N]['auth'] extends 'none' ? OpenContext : HandlerContext;

/** One handler for each route of the table: the compiler names the one that is missing. */
export type RestHandlers = {
  readonly [N in RouteName]: (input: RouteInput<N>, context: ContextOf<N>) => Promise<RouteAnswer<N>>;
};

const NOTHING = z.strictObject({});
const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Binds every route of the contract: request id, limits, authentication, parsing, the answer or the problem. */
export function bindRoutes(
  app: Express,
  handlers: RestHandlers,
  admission: Admission,
  { metrics, log, clock, tracing }: ServiceContext,
): void {
  const seconds = metrics.latency('parley_gateway_request_seconds', 'REST requests', ['route']);
  const answers = metrics.counter('parley_gateway_answers_total', 'REST answers', ['route', 'status']);
  const json = express.json({ limit: LIMITS.bodyMaxBytes, strict: true, type: isJson });

  app.use((request: Request, response: Response, next: NextFunction) => {
    const requestId = requestIdFrom(request.headers['x-request-id']);
    response.locals['requestId'] = requestId;
    response.setHeader('X-Request-Id', requestId);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    next();
  });

  for (const name of Object.keys(ROUTES) as RouteName[]) {
    const route: Route = ROUTES[name];
    const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
    const method = route.method.toLowerCase() as 'get' | 'post' | 'put' | 'patch' | 'delete';
    app[method](path, json, async (request: Request, response: Response) => {
      const startedMs = performance.now();
      const traceparent = request.get('traceparent');
      const span = tracing.span(
        'gateway',
        `${route.method} ${route.path}`,
        traceparent !== undefined && TRACEPARENT.test(traceparent) ? traceparent : undefined,
      );
      let failure: unknown;
      try {
        const context: OpenContext = {
          requestId: requestIdOf(response),
          address: request.ip ?? '',
          origin: `${request.protocol}://${request.get('host') ?? request.hostname}`,
          receivedAtMs: clock.now(),
          traceparent: span.traceparent,
        };
        const caller = await admission.admit(name, route, request.get('authorization'), context);
        const answer = await call(
          handlers,
          name,
          inputOf(route, request),
          caller === null ? context : { ...context, caller },
        );
        response.status(answer.status);
        if (answer.body === null) response.end();
        else response.json(answer.body);
      } catch (error) {
        failure = error;
        sendProblem(response, error, log);
      }
      span.end(failure);
      answers.inc({ route: name, status: String(response.statusCode) });
      seconds.observe({ route: name }, (performance.now() - startedMs) / 1_000);
    });
  }
}

/** Last in the chain: unknown paths, and bodies that could not be read. */
export function bindFallbacks(app: Express, { log }: Pick<ServiceContext, 'log'>): void {
  app.use((request: Request, response: Response) => {
    sendProblem(response, new ParleyError('not_found', `There is no ${request.method} ${request.path}`), log);
  });
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    sendProblem(response, bodyError(error), log);
  });
}

/** The caller's own id of a request if it is fit for logs, else a new one. */
export function requestIdFrom(given: string | readonly string[] | undefined): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : nanoid();
}

export function requestIdOf(response: Response): string {
  return String(response.locals['requestId'] ?? '');
}

export function sendProblem(response: Response, error: unknown, log: ServiceContext['log']): void {
  const requestId = requestIdOf(response);
  if (!(error instanceof ParleyError)) log.error({ err: error, requestId }, 'request failed');
  const refusal = refusalOf(error, 'The request failed');
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (refusal.retryAfterMs !== undefined) {
    response.setHeader('Retry-After', String(Math.max(1, Math.ceil(refusal.retryAfterMs / 1_000))));
  }
  if (refusal.code === 'unauthenticated' || refusal.code === 'token_expired') {
    const error_ = refusal.code === 'token_expired' ? ' error="invalid_token"' : '';
    response.setHeader('WWW-Authenticate', `Bearer${error_}`);
  }
  response
    .status(ERRORS[refusal.code].status)
    .type('application/problem+json')
    .send(JSON.stringify(toProblem(refusal, requestId)));
}

function call(
  handlers: RestHandlers,
  name: RouteName,
  input: unknown,
  context: OpenContext | HandlerContext,
): Promise<{ readonly status: number; readonly body: unknown }> {
  // The input was parsed by the schemas of this very route, and `admit` gave a caller where the route asks for one.
  const handler = handlers[name] as (input: unknown, context: unknown) => Promise<{ status: number; body: unknown }>;
  return handler(input, context);
}

function inputOf(route: Route, request: Request): unknown {
  if (route.body !== undefined && hasBody(request) && !isJson(request)) {
    throw new ParleyError('unsupported', 'The body must be application/json');
  }
  const body: unknown = request.body;
  return {
    params: route.params === undefined ? undefined : parse(route.params, { ...request.params }, 'path'),
    query: parse(route.query ?? NOTHING, given(request.query), 'query'),
    body: parse(route.body ?? NOTHING, body ?? (route.body === undefined ? {} : undefined), 'body'),
  };
}

/** A parameter without a value is one that was not given. */
export function given(query: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ''));
}

function hasBody(request: Request): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}

function isJson(request: { headers: Request['headers'] }): boolean {
  const type = request.headers['content-type'] ?? '';
  return /^application\/(?:[\w.+-]+\+)?json\b/i.test(type);
}

/** What the body parser refuses, in the words of the error table. */
function bodyError(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return error;
  const codes: Readonly<Record<string, ErrorCode>> = {
    'entity.too.large': 'too_large',
    'entity.parse.failed': 'invalid',
    'encoding.unsupported': 'unsupported',
    'charset.unsupported': 'unsupported',
    'request.aborted': 'invalid',
    'request.size.invalid': 'invalid',
  };
  // Undecodable paths and broken compression have no type of their own, only the status of a bad request.
  const code =
    ('type' in error ? codes[String(error.type)] : undefined) ??
    ('status' in error && error.status === 400 ? 'invalid' : undefined);
  if (code === undefined) return error;
  const message =
    code === 'too_large' ? `A body has at most ${LIMITS.bodyMaxBytes} bytes` : 'The request could not be read';
  return new ParleyError(code, message);
}
