import { describe, expect, it } from '@jest/globals';
import { CLIENT_EVENTS, ERRORS, type Route, ROUTES, SERVER_EVENTS } from '@parley/contracts';

import { docsPage } from './docs-page.js';
import { asyncApiDocument, openApiDocument } from './openapi.js';

type Json = Record<string, unknown>;
const openApi = openApiDocument('1.2.3');
const asyncApi = asyncApiDocument('1.2.3');
const at = (document: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>((value, key) => (value as Json | undefined)?.[key], document);

function* everyObject(value: unknown, path = '#'): Generator<readonly [string, Json]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [path, value as Json];
  for (const [key, inner] of Object.entries(value)) yield* everyObject(inner, `${path}/${key}`);
}

const KEYWORDS = new Set(
  `$ref type properties required additionalProperties items anyOf oneOf allOf not const enum format pattern minLength
   maxLength minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems propertyNames default prefixItems
   description title contentEncoding multipleOf`.split(/\s+/),
);
const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];

/** The structure of a JSON schema (2020-12), as far as ours go; answers what is wrong with it. */
function faultsOf(schema: unknown, path: string): string[] {
  if (typeof schema === 'boolean') return [];
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return [`${path} is no schema`];
  const of = schema as Json;
  const faults = Object.keys(of)
    .filter((key) => !KEYWORDS.has(key))
    .map((key) => `${path} has ${key}`);
  const properties = (of['properties'] ?? {}) as Json;
  for (const type of [of['type'] ?? []].flat())
    if (!TYPES.includes(String(type))) faults.push(`${path} has type ${String(type)}`);
  for (const name of (of['required'] ?? []) as string[]) {
    if (!(name in properties)) faults.push(`${path} requires ${name}, which it does not describe`);
  }
  for (const [name, inner] of Object.entries(properties)) faults.push(...faultsOf(inner, `${path}.${name}`));
  for (const list of ['anyOf', 'oneOf', 'allOf', 'prefixItems']) {
    for (const [index, inner] of Object.entries((of[list] ?? []) as unknown[]))
      faults.push(...faultsOf(inner, `${path}/${list}/${index}`));
  }
  for (const key of ['items', 'additionalProperties', 'propertyNames', 'not']) {
    if (of[key] !== undefined) faults.push(...faultsOf(of[key], `${path}/${key}`));
  }
  return faults;
}

describe('both documents', () => {
  for (const [name, document] of [
    ['openapi', openApi],
    ['asyncapi', asyncApi],
  ] as const) {
    it(`resolve every reference within themselves (${name})`, () => {
      const references = [...everyObject(document)].flatMap(([path, { $ref }]) =>
        typeof $ref === 'string' ? [[path, $ref]] : [],
      );
      expect(references.length).toBeGreaterThan(20);
      const dangling = references.filter(
        ([, reference]) =>
          at(
            document,
            ...(reference ?? '')
              .slice(2)
              .split('/')
              .map((part) => part.replaceAll('~1', '/')),
          ) === undefined,
      );
      expect(dangling).toEqual([]);
    });

    it(`describe schemas that are schemas, and everything that these require (${name})`, () => {
      const schemas: (readonly [string, unknown])[] = Object.entries(at(document, 'components', 'schemas') as Json);
      for (const [path, { schema, payload, 'x-acknowledgement': acknowledgement }] of everyObject(document)) {
        if (path.includes('/properties')) continue;
        for (const each of [schema, payload, acknowledgement])
          if (each !== undefined) schemas.push([path, each] as const);
      }
      expect(schemas.flatMap(([path, schema]) => faultsOf(schema, path))).toEqual([]);
    });
  }
});

describe('the OpenAPI document', () => {
  const operations = new Map(
    Object.entries(openApi['paths'] as Record<string, Json>).flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, operation]) => [(operation as Json)['operationId'], { path, method, operation }] as const,
      ),
    ),
  );

  it('has every route, and the two streams', () => {
    expect([...operations.keys()].sort()).toEqual([...Object.keys(ROUTES), 'events', 'pollEvents'].sort());
  });

  it('says of each route where it is, what it takes and what it answers', () => {
    for (const [name, route] of Object.entries(ROUTES) as [string, Route][]) {
      const found = operations.get(name);
      const operation = found?.operation as Json;
      expect([name, found?.path, found?.method]).toEqual([name, route.path, route.method.toLowerCase()]);
      const parameters = operation['parameters'] as { name: string; in: string; required: boolean }[];
      expect([name, parameters.map((each) => `${each.in} ${each.name}`)]).toEqual([
        name,
        [
          ...Object.keys(route.params?.shape ?? {}).map((each) => `path ${each}`),
          ...Object.keys(route.query?.shape ?? {}).map((each) => `query ${each}`),
        ],
      ]);
      expect(parameters.filter((each) => each.in === 'path' && !each.required)).toEqual([]);
      expect([name, operation['requestBody'] !== undefined]).toEqual([name, route.body !== undefined]);
      expect(Object.keys(operation['responses'] as Json)).toEqual([...Object.keys(route.responses), 'default']);
      expect([name, at(operation, 'security')]).toEqual([name, route.auth === 'none' ? [] : undefined]);
    }
  });

  it('describes ids, which clients need most', () => {
    for (const name of ['User', 'Message', 'Conversation']) {
      expect([name, at(openApi, 'components', 'schemas', name, 'properties', 'id')]).toEqual([
        name,
        expect.objectContaining({ type: 'string' }),
      ]);
    }
  });

  it('says of every error whether to try again', () => {
    const description = String(at(openApi, 'info', 'description'));
    for (const [code, { status, retryable }] of Object.entries(ERRORS)) {
      expect(description).toContain(`\`${code}\` ${status}${retryable ? ' (retry)' : ''}`);
    }
  });
});

describe('the AsyncAPI document', () => {
  it('has every event of both directions, with its operation', () => {
    const keys = [
      ...Object.keys(CLIENT_EVENTS).map((event) => `client_${event.replace('.', '_')}`),
      ...Object.keys(SERVER_EVENTS).map((event) => `server_${event.replace('.', '_')}`),
    ].sort();
    expect(Object.keys(at(asyncApi, 'components', 'messages') as Json).sort()).toEqual(keys);
    expect(Object.keys(asyncApi['operations'] as Json).sort()).toEqual(keys);
    expect(Object.keys(at(asyncApi, 'channels', 'session', 'messages') as Json).sort()).toEqual(keys);
    expect(at(asyncApi, 'operations', 'client_message_send', 'action')).toBe('receive');
    expect(at(asyncApi, 'operations', 'server_message_new', 'action')).toBe('send');
  });
});

describe('the readable page', () => {
  const page = docsPage(openApi, asyncApi);

  it('has no script and nothing from elsewhere', () => {
    expect(page).not.toMatch(/<script|javascript:|\son\w+=|<iframe|<link|@import|url\(|src=/i);
    for (const [, target] of page.matchAll(/href="([^"]*)"/g)) expect(target).toMatch(/^(#|\/v1\/)/);
  });

  it('has every route and event', () => {
    for (const { path } of Object.values(ROUTES)) expect(page).toContain(`<code>${path}</code>`);
    for (const event of [...Object.keys(CLIENT_EVENTS), ...Object.keys(SERVER_EVENTS)])
      expect(page).toContain(`<code>${event}</code>`);
  });

  it('leads to every section that it names', () => {
    for (const [, target] of page.matchAll(/href="#([^"]*)"/g)) expect(page).toContain(`id="${target}"`);
  });
});
