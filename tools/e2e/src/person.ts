import { type Conversation, Problem, type Route, type RouteName, ROUTES, type Tokens } from '@parley/contracts';
import type { z } from 'zod';

import { type Poll, pollOnce } from './poll.js';
import { Session } from './session.js';
import { EventStream } from './event-stream.js';

export interface CallInput {
  readonly params?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

type BodyOf<N extends RouteName> = {
  [S in keyof (typeof ROUTES)[N]['responses']]: (typeof ROUTES)[N]['responses'][S] extends z.ZodType
    ? z.output<(typeof ROUTES)[N]['responses'][S]>
    : null;
}[keyof (typeof ROUTES)[N]['responses']];

/** A REST call as it is: any answer is an answer. */
export async function callRoute(
  origin: string,
  token: string | null,
  name: RouteName,
  input: CallInput = {},
): Promise<Answer> {
  const route: Route = ROUTES[name];
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_all, key: string) =>
    encodeURIComponent(String(input.params?.[key])),
  );
  const query = new URLSearchParams(
    Object.entries(input.query ?? {}).map(([key, value]): [string, string] => [key, String(value)]),
  );
  const response = await fetch(`${origin}${path}${query.size === 0 ? '' : `?${query}`}`, {
    method: route.method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(input.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...input.headers,
    },
    ...(input.body === undefined ? {} : { body: JSON.stringify(input.body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) };
}

/** The answer held to the contract: a success of the route's table, or an error thrown with the problem. */
export async function call<N extends RouteName>(
  origin: string,
  token: string | null,
  name: N,
  input: CallInput = {},
): Promise<{ readonly status: number; readonly body: BodyOf<N> }> {
  const { status, body } = await callRoute(origin, token, name, input);
  const schemas: Route['responses'] = ROUTES[name].responses;
  const schema = schemas[status];
  if (schema === undefined) throw new Error(`${name} answered ${status}: ${JSON.stringify(body)}`);
  return { status, body: (schema === null ? body : schema.parse(body)) as BodyOf<N> };
}

/** The problem that a call must be answered with. */
export async function refusal(
  origin: string,
  token: string | null,
  name: RouteName,
  input: CallInput = {},
): Promise<Problem> {
  const { status, headers, body } = await callRoute(origin, token, name, input);
  if (status < 400) throw new Error(`${name} was accepted with ${status}: ${JSON.stringify(body)}`);
  const type = headers.get('content-type') ?? '';
  if (!type.startsWith('application/problem+json')) throw new Error(`${name} answered ${status} as ${type}`);
  const problem = Problem.parse(body);
  if (problem.status !== status) throw new Error(`${name} answered ${status}, its problem says ${problem.status}`);
  return problem;
}

export const PASSWORD = 'correct horse battery';

/** Someone with an account, their REST calls and their sessions. */
export class Person {
  readonly sessions: Session[] = [];
  readonly streams: EventStream[] = [];
  #made = 0;

  constructor(
    readonly origin: string,
    readonly user: Tokens['user'],
    public accessToken: string,
    public refreshToken: string,
  ) {}

  static async register(origin: string, username: string): Promise<Person> {
    const { body } = await call(origin, null, 'register', { body: { username, password: PASSWORD } });
    return new Person(origin, body.user, body.accessToken, body.refreshToken);
  }

  get id(): string {
    return this.user.id;
  }

  /** The same account, signed in once more. */
  async signInAgain(): Promise<Person> {
    const body = { username: this.user.username, password: PASSWORD };
    const { body: tokens } = await call(this.origin, null, 'login', { body });
    return new Person(this.origin, tokens.user, tokens.accessToken, tokens.refreshToken);
  }

  async call<N extends RouteName>(name: N, input: CallInput = {}): Promise<BodyOf<N>> {
    return (await this.answer(name, input)).body;
  }

  answer<N extends RouteName>(name: N, input: CallInput = {}) {
    return call(this.origin, this.accessToken, name, input);
  }

  refused(name: RouteName, input: CallInput = {}): Promise<Problem> {
    return refusal(this.origin, this.accessToken, name, input);
  }

  in<N extends RouteName>(conversationId: string, name: N, input: CallInput = {}): Promise<BodyOf<N>> {
    return this.call(name, { ...input, params: { conversationId, ...input.params } });
  }

  refusedIn(conversationId: string, name: RouteName, input: CallInput = {}): Promise<Problem> {
    return this.refused(name, { ...input, params: { conversationId, ...input.params } });
  }

  create(type: Conversation['type'], others: readonly Person[] = [], more: object = {}): Promise<Conversation> {
    return this.call('createConversation', { body: { type, memberIds: others.map(({ id }) => id), ...more } });
  }

  /** By REST, so that no session of anybody's is left out. */
  say(conversationId: string, text: string, more: object = {}) {
    this.#made += 1;
    const body = { clientId: `${this.user.username}-${this.#made}`, content: { type: 'text', text }, ...more };
    return this.in(conversationId, 'send', { body });
  }

  sync(conversationId: string, after = 0, limit = 1_000) {
    return this.call('syncConversation', { query: { conversationId, after, limit } });
  }

  async connect(deviceId = 'phone', transport: 'websocket' | 'polling' = 'websocket'): Promise<Session> {
    const assignment = await this.call('session', { body: { deviceId } });
    const session = await Session.open(`${this.user.username}/${deviceId}`, assignment, transport);
    this.sessions.push(session);
    return session;
  }

  async stream(cursor: { readonly lastEventId?: string; readonly cursor?: string } = {}): Promise<EventStream> {
    const stream = await EventStream.open(this.user.username, this.origin, this.accessToken, cursor);
    this.streams.push(stream);
    return stream;
  }

  poll(query: { readonly cursor?: string; readonly timeoutMs?: number } = {}): Promise<Poll> {
    return pollOnce(this.origin, this.accessToken, query);
  }

  /** Closes what is open, and gives what of it was not as the contract says. */
  leave(): readonly string[] {
    for (const open of [...this.sessions, ...this.streams]) open.close();
    return [...this.sessions, ...this.streams].flatMap(({ violations }) => violations);
  }
}
