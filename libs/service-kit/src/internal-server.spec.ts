import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { type InternalServer, Readiness, startInternalServer } from './internal-server.js';
import { Metrics } from './metrics.js';

describe('readiness', () => {
  it('is given when every condition is met, and not before there is one', () => {
    const readiness = new Readiness();
    expect(readiness.ready).toBe(false);
    readiness.set('log', true);
    expect(readiness.ready).toBe(true);
    readiness.set('services', false);
    expect(readiness.report()).toEqual({ ready: false, conditions: { log: true, services: false } });
    readiness.set('services', true);
    expect(readiness.ready).toBe(true);
  });
});

describe('the internal server', () => {
  const readiness = new Readiness();
  const metrics = new Metrics();
  let server: InternalServer;
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };

  beforeEach(async () => {
    server = await startInternalServer({ port: 0, host: '127.0.0.1', readiness, metrics });
  });
  afterEach(() => server.close());

  it('says that the process is alive, ready or not', async () => {
    readiness.set('services', false);
    expect(await get('/healthz')).toMatchObject({ status: 200, text: '{"alive":true}' });
    expect(await get('/readyz')).toMatchObject({
      status: 503,
      text: '{"ready":false,"conditions":{"services":false}}',
    });
    readiness.set('services', true);
    expect(await get('/readyz?verbose')).toMatchObject({ status: 200 });
  });

  it('shows counters, values read when asked for, and latencies', async () => {
    metrics.counter('parley_test_total', 'Tests', ['kind']).inc({ kind: 'spec' }, 3);
    let depth = 1;
    metrics.gauge('parley_test_depth', 'Depth', () => depth);
    metrics.gauges('parley_test_lag', 'Lag', 'queue', () => new Map([['a', 7]]));
    metrics.latency('parley_test_seconds', 'Latency').observe(0.003);
    depth = 5;
    const { status, type, text } = await get('/metrics');
    expect([status, type]).toEqual([200, expect.stringContaining('text/plain')]);
    expect(text).toContain('parley_test_total{kind="spec"} 3');
    expect(text).toContain('parley_test_depth 5');
    expect(text).toContain('parley_test_lag{queue="a"} 7');
    expect(text).toContain('parley_test_seconds_bucket{le="0.004"} 1');
    expect(text).toContain('parley_test_seconds_bucket{le="0.002"} 0');
  });

  it('shares a metric between services that ask for the same', () => {
    expect(metrics.counter('parley_test_shared', 'x')).toBe(metrics.counter('parley_test_shared', 'x'));
  });

  it('names what there is when asked for something else', async () => {
    expect(await get('/')).toMatchObject({ status: 404, text: '{"paths":["/healthz","/readyz","/metrics"]}' });
  });

  it('does not start on a port that is taken', async () => {
    const taken = { port: server.port, host: '127.0.0.1', readiness, metrics };
    await expect(startInternalServer(taken)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
