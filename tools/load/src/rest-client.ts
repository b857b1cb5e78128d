import { parse, ParleyError, Problem, ROUTES, type RouteName } from '@parley/contracts';
import { Agent, request as httpRequest } from 'node:http';
import type { z } from 'zod';

import { NoAnswer } from './retry.js';

export interface RestAnswer {
  readonly status: number;
  readonly body: Buffer;
}

export interface RestRequest {
  readonly token?: string;
  readonly params?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly body?: unknown;
}

type Responses<N extends RouteName> = (typeof ROUTES)[N]['responses'];
/** What a route answers on success, whichever of its success statuses it is. */
export type RestResult<N extends RouteName> = {
  [S in keyof Responses<N>]: Responses<N>[S] extends z.ZodType ? z.output<Responses<N>[S]> : null;
}[keyof Responses<N>];

const ANSWER_MAX_BYTES = 64 * 1024 * 1024;

/** The public REST API by the names of its route table, over a bounded number of kept connections. */
export class RestClient {
  readonly #base: URL;
  readonly #agent: Agent;
  readonly #timeoutMs: number;

  constructor(baseUrl: string, options: { connectionsMax?: number; timeoutMs?: number } = {}) {
    this.#base = new URL(baseUrl);
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.connectionsMax ?? 32 });
  }

  get baseUrl(): string {
    return this.#base.href;
  }

  /** Throws `ParleyError` for a refusal, `NoAnswer` when it is not known what happened. */
  async call<N extends RouteName>(name: N, request: RestRequest = {}): Promise<RestResult<N>> {
    const route = ROUTES[name];
    const path = pathOf(route.path, request);
    const answer = await this.send(route.method, path, request);
    const text = answer.body.toString('utf8');
    const schemas: Readonly<Record<number, z.ZodType | null>> = route.responses;
    const schema = schemas[answer.status];
    if (schema === undefined) throw refusalOf(answer.status, text, `${route.method} ${path}`);
    return (schema === null ? null : parse(schema, JSON.parse(text), `answer of ${name}`)) as RestResult<N>;
  }

  /** One request as it stands: the answer's bytes are read to the end and not looked at. */
  send(method: string, path: string, request: Pick<RestRequest, 'token' | 'body'> = {}): Promise<RestAnswer> {
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    const what = `${method} ${path}`;
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => reject(new NoAnswer(what, error));
      const outgoing = httpRequest(
        {
          host: this.#base.hostname,
          port: this.#base.port,
          method,
          path,
          agent: this.#agent,
          timeout: this.#timeoutMs,
          headers: {
            ...(request.token === undefined ? {} : { authorization: `Bearer ${request.token}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          let size = 0;
          incoming.on('data', (chunk: Buffer) => {
            size += chunk.length;
            if (size > ANSWER_MAX_BYTES) incoming.destroy(new Error('the answer is too large'));
            else chunks.push(chunk);
          });
          incoming.once('end', () => resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks) }));
          incoming.once('error', fail);
        },
      );
      outgoing.once('timeout', () => outgoing.destroy(new Error(`nothing within ${this.#timeoutMs} ms`)));
      outgoing.once('error', fail);
      outgoing.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

export function pathOf(template: string, request: Pick<RestRequest, 'params' | 'query'>): string {
  const path = template.replace(/\{(\w+)\}/g, (_whole, name: string) => {
    const value = request.params?.[name];
    if (value === undefined) throw new RangeError(`${template} needs ${name}`);
    return encodeURIComponent(String(value));
  });
  const query = Object.entries(request.query ?? {}).map(
    ([key, value]) => `${key}=${encodeURIComponent(String(value))}`,
  );
  return query.length === 0 ? path : `${path}?${query.join('&')}`;
}

function refusalOf(status: number, text: string, what: string): Error {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  const problem = Problem.safeParse(body);
  if (!problem.success) {
    // A door in front of the server (or a server on its way down) may answer without problem details.
    const seen = new Error(`status ${status}: ${text.slice(0, 200)}`);
    return status >= 500
      ? new NoAnswer(what, seen)
      : new Error(`${what} answered outside of the contract`, { cause: seen });
  }
  const { code, detail, retryAfterMs, issues } = problem.data;
  return new ParleyError(code, `${what}: ${detail}`, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(issues === undefined ? {} : { issues }),
  });
}
