import { CLIENT_EVENTS, ERRORS, Problem, type Route, ROUTES, SERVER_EVENTS } from '@parley/contracts';
import { z } from 'zod';

type Json = Record<string, unknown>;

/** JSON Schema 2020-12 as OpenAPI 3.1 and AsyncAPI 3 take it; shared schemas become components. */
class Components {
  readonly schemas: Json = {};

  schema(type: z.ZodType, io: 'input' | 'output'): Json {
    const {
      $schema: _dialect,
      $defs,
      ...schema
    } = z.toJSONSchema(type, {
      io,
      unrepresentable: 'any',
      cycles: 'ref',
      reused: 'inline',
      override: ({ jsonSchema }) => {
        delete jsonSchema['~standard'];
      },
    }) as Json & { $defs?: Json };
    for (const [name, definition] of Object.entries($defs ?? {})) this.schemas[name] = withRefs(definition);
    const { id } = schema;
    if (typeof id === 'string') {
      this.schemas[id] = withRefs(schema);
      return { $ref: `#/components/schemas/${id}` };
    }
    return withRefs(schema) as Json;
  }
}

/** `#/$defs/X` of one schema are `#/components/schemas/X` of the document. */
function withRefs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withRefs);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      // The name of a schema, not a property of that name.
      .filter(([key, inner]) => key !== 'id' || typeof inner !== 'string')
      .map(([key, inner]) => [
        key,
        key === '$ref' && typeof inner === 'string'
          ? inner.replace('#/$defs/', '#/components/schemas/')
          : withRefs(inner),
      ]),
  );
}

/** The REST contract as OpenAPI 3.1, from the same table that the handlers are bound by. */
export function openApiDocument(version: string): Json {
  const components = new Components();
  const problem = { 'application/problem+json': { schema: components.schema(Problem, 'output') } };
  const paths: Record<string, Json> = {};
  for (const [name, route] of Object.entries(ROUTES) as [string, Route][]) {
    const operation: Json = {
      operationId: name,
      tags: [route.tag],
      summary: route.summary,
      ...(route.auth === 'none' ? { security: [] } : {}),
      ...(route.auth === 'none' || route.auth === 'self' ? {} : { 'x-scope': route.auth }),
      parameters: [...parameters(components, route.params, 'path'), ...parameters(components, route.query, 'query')],
      ...(route.body === undefined
        ? {}
        : {
            requestBody: {
              required: true,
              content: { 'application/json': { schema: components.schema(route.body, 'input') } },
            },
          }),
      responses: {
        ...Object.fromEntries(
          Object.entries(route.responses).map(([status, body]) => [
            status,
            {
              description: Number(status) === 201 ? 'Created' : 'OK',
              ...(body === null
                ? {}
                : { content: { 'application/json': { schema: components.schema(body, 'output') } } }),
            },
          ]),
        ),
        default: { description: 'A problem of the table of errors', content: problem },
      },
    };
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operation;
  }
  paths['/v1/events'] = {
    get: streamOperation('events', 'Server-sent events: the same events as the socket’s', 'text/event-stream'),
  };
  paths['/v1/events/poll'] = {
    get: streamOperation('pollEvents', 'Long poll: `{events: [{event, data}], cursor}`', 'application/json'),
  };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Parley',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: `Errors are RFC 9457 problems with one of these codes: ${Object.entries(ERRORS)
        .map(([code, { status, retryable }]) => `\`${code}\` ${status}${retryable ? ' (retry)' : ''}`)
        .join(', ')}.`,
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    paths,
    components: {
      schemas: components.schemas,
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'Access token or API key' } },
    },
  };
}

function parameters(components: Components, schema: z.ZodObject | undefined, where: 'path' | 'query'): Json[] {
  return Object.entries(schema?.shape ?? {}).map(([name, type]) => {
    const field = type as z.ZodType;
    return {
      name,
      in: where,
      required: where === 'path' || !field.safeParse(undefined).success,
      schema: components.schema(field, 'input'),
    };
  });
}

function streamOperation(operationId: string, summary: string, mediaType: string): Json {
  const text = { type: 'string' };
  return {
    operationId,
    tags: ['Catching up'],
    summary,
    parameters: [
      { name: 'cursor', in: 'query', required: false, schema: text },
      operationId === 'events'
        ? { name: 'Last-Event-ID', in: 'header', required: false, schema: text }
        : { name: 'timeoutMs', in: 'query', required: false, schema: { type: 'integer', maximum: 30_000 } },
    ],
    responses: {
      200: { description: 'Events; see the AsyncAPI document', content: { [mediaType]: { schema: text } } },
    },
  };
}

/** The socket contract as AsyncAPI 3, from the same schemas that requests are parsed by. */
export function asyncApiDocument(version: string): Json {
  const components = new Components();
  const messages: Json = {};
  const operations: Json = {};
  const channelMessages: Json = {};
  for (const [event, { summary, request, acknowledgement }] of Object.entries(CLIENT_EVENTS)) {
    const key = `client_${event.replace('.', '_')}`;
    messages[key] = {
      name: event,
      summary,
      payload: components.schema(request, 'input'),
      'x-acknowledgement': components.schema(acknowledgement, 'output'),
    };
    channelMessages[key] = { $ref: `#/components/messages/${key}` };
    operations[key] = {
      action: 'receive',
      channel: { $ref: '#/channels/session' },
      messages: [{ $ref: `#/channels/session/messages/${key}` }],
    };
  }
  for (const [event, { summary, payload }] of Object.entries(SERVER_EVENTS)) {
    const key = `server_${event.replace('.', '_')}`;
    messages[key] = { name: event, summary, payload: components.schema(payload, 'output') };
    channelMessages[key] = { $ref: `#/components/messages/${key}` };
    operations[key] = {
      action: 'send',
      channel: { $ref: '#/channels/session' },
      messages: [{ $ref: `#/channels/session/messages/${key}` }],
    };
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Parley sessions',
      version,
      description:
        'Socket.IO 4 (protocol 5): open a connection to the `url` and `path` of `POST /v1/session` with `auth: {ticket}`. Each request has an acknowledgement `{ok: true, …}` or `{ok: false, error}`.',
    },
    channels: { session: { address: '/v1/chat/{serverId}/socket.io', messages: channelMessages } },
    operations,
    components: { messages, schemas: components.schemas },
  };
}
