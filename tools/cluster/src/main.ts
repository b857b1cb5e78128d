#!/usr/bin/env node
import { Command } from 'commander';

import { Cluster, COUNTS, type Counts, type Service, SERVICES } from './cluster.js';
import { enginesFrom } from './engines.js';
import { logPrinter } from './log-printer.js';

const options = new Command('cluster')
  .description('Runs the six services as processes on the engines of `make stack`, and starts again what dies')
  .option('--stack <name>', 'the stack that they use; else what PARLEY_… variables say', 'default')
  .option('--port <port>', 'of the first gateway; the others follow', Number, 8_080)
  .option('--count <service=n>', 'how many of a service, repeatable', collect, {})
  .option('--log-level <level>', 'of the services', 'info')
  .parse()
  .opts<{ stack: string; port: number; count: Partial<Counts>; logLevel: string }>();

const counts: Counts = { ...COUNTS, ...options.count };
const print = logPrinter((text) => void process.stdout.write(text), process.stdout.isTTY);
const say = (text: string): void => print('cluster', text);

try {
  const cluster = await Cluster.start({
    engines: await enginesFrom(options.stack),
    counts,
    gatewayPorts: Array.from({ length: counts.gateway }, (_, index) => options.port + index),
    env: { PARLEY_LOG_LEVEL: options.logLevel },
    onLine: print,
  });
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    say('stopping; a second Ctrl-C does not wait');
    process.once('SIGINT', () => process.exit(130));
    cluster.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        say(String(error));
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  say(`ready: ${cluster.urls.join('  ')}   (API: ${cluster.urls[0] ?? ''}/docs)`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

function collect(text: string, before: Partial<Record<Service, number>>): Partial<Record<Service, number>> {
  const [name, count] = text.split('=');
  const service = SERVICES.find((each) => each === name);
  if (service === undefined || !/^\d+$/.test(count ?? '')) {
    throw new Error(`--count ${text}: of the form ${SERVICES.join('|')}=<number>`);
  }
  return { ...before, [service]: Number(count) };
}
