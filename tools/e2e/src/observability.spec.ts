import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, expect, it } from '@jest/globals';
import { CLIENT_EVENTS, type Route, ROUTES, SERVER_EVENTS } from '@parley/contracts';
import { z } from 'zod';

import { metric, scrape } from './metrics.js';
import { eventually } from './recorder.js';
import { scenarioWithOwnServer } from './world.js';

const Export = z.object({
  resourceSpans: z.array(
    z.object({
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: z.string(),
              name: z.string(),
              attributes: z.array(
                z.object({ key: z.string(), value: z.object({ stringValue: z.string().optional() }) }),
              ),
            }),
          ),
        }),
      ),
    }),
  ),
});
interface Span {
  readonly traceId: string;
  readonly name: string;
  readonly service: string | undefined;
}

const spans: Span[] = [];
let collector: HttpServer | undefined;

async function settings() {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url === '/v1/traces') collect(Buffer.concat(chunks).toString());
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  collector = server;
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  };
}

function collect(body: string): void {
  for (const { scopeSpans } of Export.parse(JSON.parse(body)).resourceSpans) {
    for (const { traceId, name, attributes } of scopeSpans.flatMap((scope) => scope.spans)) {
      spans.push({ traceId, name, service: attributes.find(({ key }) => key === 'parley.service')?.value.stringValue });
    }
  }
}

scenarioWithOwnServer('what operators see', 'it needs the internal port and a collector', settings, (world) => {
  afterAll(() => {
    collector?.close();
    collector?.closeAllConnections();
  });
  const servicesOf = (traceId: string) =>
    new Set(spans.filter((span) => span.traceId === traceId).map(({ service }) => service));

  const stepsOf = (traceId: string) =>
    new Set(
      spans.filter((span) => span.traceId === traceId).map(({ service, name }) => `${service ?? 'unknown'} ${name}`),
    );

  it('is health and readiness, on the internal port', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const response = await fetch(`${world.server.internalUrl}${path}`);
      expect([path, response.status]).toEqual([path, 200]);
    }
    expect((await fetch(`${world.url}/readyz`)).status).toBe(200);
    expect((await fetch(`${world.url}/metrics`)).status).toBe(404);
  });

  it('is metrics of connections, sends, latencies, queues, drops and the event loop', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('direct', [bob]);
    const { internalUrl } = world.server;
    const before = await metric(internalUrl, 'parley_chat_connections');
    const [phone, laptop] = [await ann.connect(), await bob.connect()];
    await phone.say(id, '1', 'hello');
    await laptop.next('message.new');
    expect(await metric(internalUrl, 'parley_chat_connections')).toBe(before + 2);
    expect(await metric(internalUrl, 'parley_chat_requests_total{event="message.send",outcome="ok"}')).toBeGreaterThan(
      0,
    );
    expect(await metric(internalUrl, 'parley_chat_ack_seconds_count{event="message.send"}')).toBeGreaterThan(0);
    expect(await metric(internalUrl, 'parley_chat_delivery_seconds_count')).toBeGreaterThan(0);
    expect(await metric(internalUrl, 'parley_routing_entries_total{kind="message"}')).toBeGreaterThan(0);
    const text = await scrape(internalUrl);
    const promised = [
      ...[
        'parley_chat_ack_seconds histogram',
        'parley_chat_delivery_seconds histogram',
        'parley_chat_drops_total counter',
      ],
      ...['parley_routing_queued gauge', 'parley_bus_lag_records gauge', 'parley_delivery_fanout_seconds histogram'],
      ...[
        'nodejs_eventloop_lag_seconds gauge',
        'process_resident_memory_bytes gauge',
        'parley_gateway_request_seconds histogram',
      ],
    ];
    for (const each of promised) expect(text).toContain(`# TYPE ${each}\n`);
    expect(text).not.toContain('hello');
  });

  it('is one trace of a message over the socket, through chat, routing and delivery', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('direct', [bob]);
    const [phone, laptop] = [await ann.connect(), await bob.connect()];
    spans.length = 0;
    await phone.say(id, '1', 'traced');
    await laptop.next('message.new');
    const steps = [
      ...['chat message.send', 'routing look up', 'routing append to log', 'routing accept message', 'routing publish'],
      ...['delivery wait on the bus', 'delivery fan out', 'delivery push', 'chat deliver to sessions'],
    ];
    await eventually(
      async () => spans.map(({ traceId }) => stepsOf(traceId)),
      (traces) => traces.some((found) => steps.every((step) => found.has(step))),
    );
  });

  it('is the caller’s own trace of a message over REST, through all four services', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('direct', [bob]);
    const laptop = await bob.connect();
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const body = { clientId: '1', content: { type: 'text', text: 'traced' } };
    await ann.in(id, 'send', { body, headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } });
    await laptop.next('message.new');
    const services = ['gateway', 'routing', 'delivery', 'chat'];
    await eventually(
      async () => [...servicesOf(traceId)],
      (found) => services.every((service) => found.includes(service)),
      2_000,
    );
  });

  it('is the contract as OpenAPI, with every route', async () => {
    const response = await fetch(`${world.url}/v1/openapi.json`);
    const Document = z.object({ openapi: z.string(), paths: z.record(z.string(), z.record(z.string(), z.unknown())) });
    const { openapi, paths } = Document.parse(await response.json());
    expect(openapi).toMatch(/^3\.1/);
    for (const route of Object.values(ROUTES) as Route[]) {
      expect(Object.keys(paths[route.path] ?? {})).toContain(route.method.toLowerCase());
    }
    for (const path of ['/v1/events', '/v1/events/poll']) expect(Object.keys(paths)).toContain(path);
  });

  it('is the contract as AsyncAPI, with every event', async () => {
    const text = await (await fetch(`${world.url}/v1/asyncapi.json`)).text();
    const { asyncapi } = z.looseObject({ asyncapi: z.string() }).parse(JSON.parse(text));
    expect(asyncapi).toMatch(/^3\./);
    for (const event of [...Object.keys(CLIENT_EVENTS), ...Object.keys(SERVER_EVENTS)])
      expect(text).toContain(`"${event}"`);
  });

  it('is a readable page', async () => {
    const response = await fetch(`${world.url}/docs`);
    expect(response.headers.get('content-type')).toMatch(/^text\/html/);
    const page = await response.text();
    for (const route of Object.values(ROUTES) as Route[]) expect(page).toContain(route.path);
    for (const event of Object.keys(SERVER_EVENTS)) expect(page).toContain(event);
  });
});
