import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, afterEach, describe, expect, it } from '@jest/globals';

import { Tracing } from './tracing.js';

const ONE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const OTHER = '00-1bf7651916cd43dd8448eb211c80319d-c7ad6b7169203331-01';
const idOf = (traceparent: string | undefined) => traceparent?.split('-')[1];

describe('tracing that is off', () => {
  it('hands on the very same requests', () => {
    const carriers = [{ traceparent: OTHER, text: 'a' }, { text: 'b' }];
    const span = new Tracing().batch('routing', 'append', carriers);
    expect(span.handOn(carriers)).toBe(carriers);
    span.end();
  });
});

describe('a step of a batch', () => {
  const tracing = new Tracing();
  let collector: Server | undefined;
  const bodies: string[] = [];
  const before = process.env['OTEL_EXPORTER_OTLP_PROTOCOL'];

  afterEach(() => {
    if (before === undefined) delete process.env['OTEL_EXPORTER_OTLP_PROTOCOL'];
    else process.env['OTEL_EXPORTER_OTLP_PROTOCOL'] = before;
  });
  afterAll(() => {
    collector?.close();
    collector?.closeAllConnections();
  });

  it('is in the trace of each request that is traced, once, and in no other', async () => {
    collector = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        bodies.push(Buffer.concat(chunks).toString());
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
    await new Promise<void>((resolve) => collector?.listen(0, '127.0.0.1', resolve));
    process.env['OTEL_EXPORTER_OTLP_PROTOCOL'] = 'http/json';
    const { port } = collector.address() as AddressInfo;
    await tracing.start(`http://127.0.0.1:${port}`, 'spec');

    const carriers = [{ traceparent: ONE }, { traceparent: OTHER }, { traceparent: OTHER }, { text: 'untraced' }];
    const span = tracing.batch('routing', 'append', carriers, { 'parley.entries': 4 }, 1_000);
    const handed = span.handOn(carriers);
    expect(handed.map(({ traceparent }) => idOf(traceparent))).toEqual([
      idOf(ONE),
      idOf(OTHER),
      idOf(OTHER),
      undefined,
    ]);
    expect(handed[0]?.traceparent).not.toBe(ONE);
    expect(handed[3]).toBe(carriers[3]);
    span.end();
    await tracing.stop();

    const text = bodies.join();
    expect(text.match(/"name":"append"/g)).toHaveLength(2);
    expect(text).toContain('"startTimeUnixNano":"1000000000"');
  });
});
