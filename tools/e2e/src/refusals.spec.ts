import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  CLIENT_EVENTS,
  type ClientEvent,
  ErrorBody,
  Problem,
  type Route,
  type RouteName,
  ROUTES,
} from '@parley/contracts';
import fc from 'fast-check';
import type { z } from 'zod';

import { type Answer, callRoute, type CallInput } from './person.js';
import { OUTSIDE_URL } from './server.js';
import type { Session } from './session.js';
import {
  ODD_VALUES,
  type RouteWithBody,
  type Setting,
  validBodies,
  validParams,
  validRequests,
} from './valid-requests.js';
import { scenario } from './world.js';

// On a server that is not ours nobody here is its admin.
const NAMES = (Object.keys(ROUTES) as RouteName[]).filter(
  (name) => OUTSIDE_URL === undefined || ROUTES[name].auth !== 'admin',
);
const WITH_BODY = NAMES.filter((name): name is RouteWithBody => 'body' in ROUTES[name]);
const EVENTS = Object.keys(CLIENT_EVENTS) as ClientEvent[];
const UNKNOWN = ['bogus', 'constructor', '__proto__'];
/** As JSON, so that `__proto__` is a field like any other. */
const withField = (object: object, key: string): object =>
  JSON.parse(`{${JSON.stringify(key)}:1,${JSON.stringify(object).slice(1)}`.replace(/,}$/, '}')) as object;

scenario('wrong input', (world) => {
  let setting: Setting;
  let phone: Session;
  beforeAll(async () => {
    const caller = await world.person('admin');
    const other = await world.person();
    const { id } = await caller.create('channel', [other]);
    await caller.say(id, 'one');
    setting = { caller, other, conversationId: id };
    phone = await caller.connect();
  });

  const call = (name: RouteName, input: CallInput): Promise<Answer> =>
    callRoute(world.url, setting.caller.accessToken, name, { params: validParams(setting), ...input });

  /** Whatever is wrong, it is said by the table, and it is never the server's fault. */
  function expectProblem({ status, headers, body }: Answer): Problem {
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
    const problem = Problem.parse(body);
    expect(problem).toMatchObject({ status, requestId: headers.get('x-request-id') });
    expect({ code: problem.code, detail: problem.detail }).not.toMatchObject({ code: 'internal' });
    return problem;
  }

  it.each(NAMES)('of %s: unknown fields are refused by name', async (name) => {
    const route: Route = ROUTES[name];
    const inQuery = await call(name, { query: { bogus: 1 }, ...(name in validBodies(setting) ? { body: {} } : {}) });
    expect(expectProblem(inQuery).issues).toContainEqual({ path: 'bogus', message: 'unknown field' });
    if (route.method === 'GET') return;
    const base = validBodies(setting)[name as RouteWithBody] ?? {};
    for (const key of UNKNOWN) {
      const problem = expectProblem(await call(name, { body: withField(base, key) }));
      expect(problem).toMatchObject({ code: 'invalid', status: 400, retryable: false });
      expect(problem.issues).toContainEqual({ path: key, message: 'unknown field' });
    }
  });

  it.each(EVENTS)('of %s: unknown fields are refused by name', async (event) => {
    for (const key of UNKNOWN) {
      const refused = await phone.refused(event, withField(validRequests(setting)[event], key));
      expect(refused).toMatchObject({ code: 'invalid', retryable: false });
      expect(refused.issues).toContainEqual({ path: key, message: 'unknown field' });
    }
  });

  it.each(WITH_BODY)('of %s: every field of a wrong type is named', async (name) => {
    const base = validBodies(setting)[name];
    for (const field of Object.keys(base)) {
      for (const value of ODD_VALUES) {
        const body = { ...base, [field]: value };
        const { success } = (ROUTES[name].body as z.ZodType).safeParse(JSON.parse(JSON.stringify(body)));
        // What the schema takes is another test's business.
        if (success) continue;
        const problem = expectProblem(await call(name, { body }));
        expect(problem.code).toBe('invalid');
        expect(problem.issues?.map(({ path }) => path.split('.')[0])).toEqual(expect.arrayContaining([field]));
      }
      const { [field]: _left, ...without } = base;
      const answer = await call(name, { body: without });
      if (answer.status >= 400) expectProblem(answer);
    }
  });

  it.each(EVENTS)('of %s: every field of a wrong type is named', async (event) => {
    const base = validRequests(setting)[event];
    for (const field of Object.keys(base)) {
      for (const value of ODD_VALUES) {
        const request = { ...base, [field]: value };
        if (CLIENT_EVENTS[event].request.safeParse(JSON.parse(JSON.stringify(request))).success) continue;
        const refused = await phone.refused(event, request);
        expect(refused.code).toBe('invalid');
        expect(refused.issues?.map(({ path }) => path.split('.')[0])).toEqual(expect.arrayContaining([field]));
      }
    }
    for (const args of [[], [null], [[]], ['text'], [1], [base, base]]) {
      expect((await phone.refused(event, ...args)).code).toBe('invalid');
    }
  });

  describe('generated', () => {
    const json = fc.jsonValue({ maxDepth: 3 });

    it('in one field of a request is never an internal error, over REST', async () => {
      const spoilt = fc
        .constantFrom(...WITH_BODY)
        .chain((name) => fc.record({ name: fc.constant(name), field: fc.nat(5), value: json }));
      await fc.assert(
        fc.asyncProperty(spoilt, async ({ name, field, value }) => {
          const base = validBodies(setting)[name];
          const key = Object.keys(base)[field] ?? 'bogus';
          const answer = await call(name, { body: { ...base, [key]: value } });
          if (answer.status >= 400) expectProblem(answer);
        }),
        { numRuns: 300 },
      );
    });

    it('in path and query is never an internal error', async () => {
      const text = fc.oneof(
        fc.string({ minLength: 1 }),
        fc.string({ unit: 'binary', minLength: 1 }),
        fc.integer().map(String),
      );
      const names = NAMES.filter((name) => name !== 'logout' && ROUTES[name].auth !== 'none');
      // Its own: some of these calls end it.
      const { id: conversationId } = await setting.caller.create('channel', [setting.other]);
      const keys = ['limit', 'cursor', 'before', 'after', 'around', 'query', 'conversationId'];
      const odd = fc.record({
        name: fc.constantFrom(...names),
        params: fc.record({ conversationId: text, userId: text, seq: text, emoji: text, keyId: text }),
        real: fc.boolean(),
        query: fc.dictionary(fc.constantFrom(...keys), text, { maxKeys: 2 }),
      });
      await fc.assert(
        fc.asyncProperty(odd, async ({ name, params, real, query }) => {
          if (Object.values(params).some((value) => value === '.' || value === '..' || !value.isWellFormed())) return;
          const answer = await call(name, {
            params: real ? { ...params, conversationId } : params,
            query,
            ...(name in validBodies(setting) ? { body: validBodies(setting)[name as RouteWithBody] } : {}),
          });
          if (answer.status >= 400) expectProblem(answer);
        }),
        { numRuns: 300 },
      );
    });

    it('in one field of a request is never an internal error, over the socket', async () => {
      const spoilt = fc.record({
        event: fc.constantFrom(...EVENTS),
        field: fc.nat(5),
        value: json,
        whole: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(spoilt, async ({ event, field, value, whole }) => {
          const base = validRequests(setting)[event];
          const key = Object.keys(base)[field] ?? 'bogus';
          const answer = await phone.raw(event, whole ? value : { ...base, [key]: value });
          if (answer['ok'] !== true) expect(ErrorBody.parse(answer['error']).code).not.toBe('internal');
        }),
        { numRuns: 500 },
      );
    });
  });

  it('nested as deep as a body can be is refused, or kept as it is', async () => {
    const nested = (depth: number): unknown =>
      JSON.parse(`{"type":"custom","deep":${'['.repeat(depth)}${']'.repeat(depth)}}`);
    const { id } = await setting.caller.create('group');
    const send = async (clientId: string, depth: number): Promise<number> => {
      const deep = `${'['.repeat(depth)}${']'.repeat(depth)}`;
      const response = await fetch(`${world.url}/v1/conversations/${id}/messages`, {
        method: 'POST',
        headers: { authorization: `Bearer ${setting.caller.accessToken}`, 'content-type': 'application/json' },
        body: `{"clientId":"${clientId}","content":{"type":"custom","deep":${deep}}}`,
      });
      await response.text();
      return response.status;
    };
    expect(await send('deep', 90)).toBe(201);
    expect(await send('deep', 90)).toBe(200);
    expect(await send('deep', 91)).toBe(409);
    const statuses = {
      within: await send('deeper', 8_000),
      again: await send('deeper', 8_000),
      beyond: await send('deepest', 100_000),
    };
    for (const status of Object.values(statuses)) expect([200, 201, 400, 413]).toContain(status);
    const { items } = await setting.caller.in(id, 'messages');
    expect(items.map(({ content }) => content)).toContainEqual(nested(90));
  });

  it('of one person does not fail what others send at the same time', async () => {
    const { caller, other } = setting;
    const { id } = await caller.create('group', [other]);
    const laptop = await other.connect('sending');
    const deep = (n: number): unknown => JSON.parse(`${'['.repeat(n)}${']'.repeat(n)}`);
    const odd = (depth: number) => ({
      ...{ conversationId: id, clientId: `deep-${depth}`, content: { type: 'custom', deep: deep(depth) } },
    });
    const depths = [1_500, 2_500, 3_500];
    for (const depth of depths) await phone.raw('message.send', odd(depth));
    const sent = await Promise.allSettled(
      Array.from({ length: 200 }, async (_, n) => {
        if (n % 10 === 0) await phone.raw('message.send', odd(depths[(n / 10) % depths.length] ?? 0));
        return laptop.say(id, `fine-${n}`, 'fine');
      }),
    );
    const failures = sent.flatMap((each) => (each.status === 'rejected' ? [String(each.reason).slice(0, 80)] : []));
    expect([...new Set(failures)]).toEqual([]);
  });

  it('leaves the server ready, and everyone else alone', async () => {
    expect((await fetch(`${world.url}/readyz`)).status).toBe(200);
    await setting.other.connect();
    expect(phone.socket.connected).toBe(true);
    await setting.caller.create('direct', [setting.other]);
  });
});
