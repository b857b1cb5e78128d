import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { z } from 'zod';

import { LogEntry } from './entries.js';
import { issuesOf } from './errors.js';
import { CLIENT_EVENTS, eventOf, parseStreamCursor, SERVER_EVENTS, SyncBody } from './events.js';
import { type Route, ROUTES } from './rest.js';

const routes = Object.entries(ROUTES) as [string, Route][];

describe('the routes', () => {
  it('have in their path exactly the parameters that their schema parses', () => {
    for (const [name, { path, params }] of routes) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      expect([name, inPath.sort()]).toEqual([name, Object.keys(params?.shape ?? {}).sort()]);
    }
  });

  it('are found by method and path, each once, below the version', () => {
    const addresses = routes.map(([, { method, path }]) => `${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`);
    expect(new Set(addresses).size).toBe(addresses.length);
    for (const [name, { path }] of routes) if (name !== 'jwks') expect(path).toMatch(/^\/v1\//);
  });

  it('take a body only where a method has one, and answer with success', () => {
    for (const [name, { method, body, responses }] of routes) {
      if (method === 'GET' || method === 'DELETE') expect([name, body]).toEqual([name, undefined]);
      for (const status of Object.keys(responses)) expect([200, 201, 204]).toContain(Number(status));
    }
  });

  it('refuse unknown fields by name, in path, query and body alike', () => {
    for (const [name, { params, query, body }] of routes) {
      for (const schema of [params, query, body]) {
        const result = schema?.safeParse({ surprise: 1 });
        if (result === undefined || result.success) expect([name, result]).toEqual([name, undefined]);
        else
          expect([name, issuesOf(result.error)]).toEqual([
            name,
            expect.arrayContaining([{ path: 'surprise', message: 'unknown field' }]),
          ]);
      }
    }
  });

  it('read numbers of a query from text, within their bounds', () => {
    const { query } = ROUTES.messages;
    expect(query.parse({ before: '7', limit: '200' })).toEqual({ before: 7, limit: 200 });
    for (const limit of ['0', '201', '-1', '1.5', 'ten', '1e2', '', ' 1']) {
      expect([limit, query.safeParse({ limit }).success]).toEqual([limit, false]);
    }
  });
});

describe('the socket events', () => {
  it('refuse unknown fields by name', () => {
    for (const [event, { request }] of Object.entries(CLIENT_EVENTS)) {
      const result = request.safeParse({ surprise: 1 });
      expect([event, result.success ? [] : issuesOf(result.error)]).toEqual([
        event,
        expect.arrayContaining([{ path: 'surprise', message: 'unknown field' }]),
      ]);
    }
  });

  it('are one for each entry, and the entry is its payload', () => {
    const common = { conversationId: 'c', seq: 2, id: 'c.2', senderId: 'u', sentAt: '2026-01-01T00:00:00.000Z' };
    const expected: readonly (readonly [string, object])[] = [
      ['message.new', { kind: 'message', content: { type: 'text', text: 'x' } }],
      ['message.updated', { kind: 'edit', targetSeq: 1, content: { type: 'text', text: 'x' } }],
      ['message.deleted', { kind: 'delete', targetSeq: 1 }],
      ['reaction.new', { kind: 'reaction', targetSeq: 1, emoji: '👍', op: 'add' }],
      ['reaction.deleted', { kind: 'reaction', targetSeq: 1, emoji: '👍', op: 'remove' }],
      ['pin.added', { kind: 'pin', targetSeq: 1, op: 'add' }],
      ['pin.removed', { kind: 'pin', targetSeq: 1, op: 'remove' }],
      ['member.added', { kind: 'member', op: 'added', userIds: ['v'] }],
      ['member.removed', { kind: 'member', op: 'removed', userIds: ['v'] }],
      ['member.updated', { kind: 'member', op: 'role', userIds: ['v'], role: 'admin' }],
      ['conversation.updated', { kind: 'settings', changes: { name: 'x' } }],
      ['conversation.deleted', { kind: 'settings', changes: { deleted: true } }],
    ];
    for (const [event, more] of expected) {
      const entry = LogEntry.parse({ ...common, ...more });
      expect(eventOf(entry)).toBe(event);
      expect(SERVER_EVENTS[eventOf(entry)].payload.safeParse(entry).success).toBe(true);
    }
  });

  it('take at most 5,000 cursors in one sync', () => {
    const cursors = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`c${index}`, 0]));
    expect([5_000, 5_001].map((count) => SyncBody.safeParse({ cursors: cursors(count) }).success)).toEqual([
      true,
      false,
    ]);
  });
});

describe('decoding', () => {
  const schemas: readonly (readonly [string, z.ZodType])[] = [
    ...routes.flatMap(([name, { params, query, body }]) =>
      [params, query, body].flatMap((schema) => (schema === undefined ? [] : ([[name, schema]] as const))),
    ),
    ...Object.entries(CLIENT_EVENTS).map(([event, { request }]) => [event, request] as const),
    ['LogEntry', LogEntry],
  ];
  /** Nearly right: the field names of the contract with anything as values. */
  const nearly = fc.dictionary(
    fc.constantFrom(
      'conversationId',
      'clientId',
      'content',
      'seq',
      'userIds',
      'cursors',
      'type',
      'text',
      'limit',
      '__proto__',
    ),
    fc.oneof(fc.jsonValue(), fc.constantFrom({ type: 'text', text: 'x' }, { type: 'poll' }, ['u'], 1, 'c1')),
  );

  it('answers for any JSON, and never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue({ maxDepth: 4 }), nearly), (value) => {
        for (const [, schema] of schemas) {
          const result = schema.safeParse(value);
          if (!result.success) {
            const issues = issuesOf(result.error);
            expect(issues.length).toBeGreaterThan(0);
            expect(issues.length).toBeLessThanOrEqual(20);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it('gives back what it was given: what is accepted once is accepted again, unchanged', () => {
    fc.assert(
      fc.property(nearly, (value) => {
        for (const [, schema] of schemas.slice(-13)) {
          const result = schema.safeParse(value);
          if (result.success) expect(schema.parse(result.data)).toEqual(result.data);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('reads a stream cursor or says that it is none', () => {
    expect(parseStreamCursor('chat-1~s_2~17')).toEqual({ serverId: 'chat-1', sessionId: 's_2', after: 17 });
    fc.assert(
      fc.property(fc.string(), (text) => {
        const cursor = parseStreamCursor(text);
        if (cursor !== null) expect(`${cursor.serverId}~${cursor.sessionId}~${cursor.after}`.length).toBeGreaterThan(4);
      }),
    );
    for (const text of ['', 'a~b', 'a~b~c', 'a~b~-1', 'a~b~1~2', 'a b~c~1', `a~b~${'1'.repeat(13)}`]) {
      expect([text, parseStreamCursor(text)]).toEqual([text, null]);
    }
  });
});
