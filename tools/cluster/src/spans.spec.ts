import { afterEach, describe, expect, it } from '@jest/globals';

import { SpanReceiver, spansIn } from './spans.js';

const span = (name: string, start: string, end: string) => ({
  traceId: 'a1',
  name,
  startTimeUnixNano: start,
  endTimeUnixNano: end,
  attributes: [{ key: 'parley.service', value: { stringValue: 'routing' } }],
});
const exported = (...spans: readonly ReturnType<typeof span>[]): string =>
  JSON.stringify({
    resourceSpans: [
      { resource: { attributes: [{ key: 'process.pid', value: { intValue: 7 } }] }, scopeSpans: [{ spans }] },
    ],
  });

describe('spans of an export', () => {
  it('say what happened where, when, to the microsecond', () => {
    const [only] = spansIn(exported(span('publish', '1700000000123456789', '1700000000125000000')));
    expect(only).toEqual({
      ...{ traceId: 'a1', name: 'publish', service: 'routing', pid: 7 },
      ...{ startMs: 1_700_000_000_123.456789, endMs: 1_700_000_000_125 },
    });
  });
});

describe('a receiver', () => {
  let receiver: SpanReceiver | undefined;
  afterEach(() => receiver?.close());

  it('has the spans of a trace in the order in which they began', async () => {
    receiver = await SpanReceiver.start();
    const body = exported(span('publish', '2000000', '3000000'), span('accept', '1000000', '4000000'));
    const url = `${receiver.environment['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? ''}/v1/traces`;
    expect((await fetch(url, { method: 'POST', body })).status).toBe(200);
    expect(receiver.ofTrace('a1').map(({ name }) => name)).toEqual(['accept', 'publish']);
    expect(receiver.tracesWith('accept', 1)).toEqual(['a1']);
    expect(receiver.tracesWith('accept', 2)).toEqual([]);
  });
});
