#!/usr/bin/env node
import { setTimeout as sleep } from 'node:timers/promises';

import { BUNDLED_LOGS, printReport, replay, type ReplayReport } from '@parley/replay';
import { ENGINES, type EngineName, findStack, type Stack } from '@parley/stack';
import { Command } from 'commander';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { Balancer } from './balancer.js';
import { Cluster, type Service, SERVICES } from './cluster.js';
import { logPrinter } from './log-printer.js';

/** Longer than every deadline of a call: whoever waits for an answer has given up before it comes. */
const PAUSE_MS = 6_000;
const ENGINE_DOWN_MS = 2_000;

/** Redis carries frames to rooms; without Cassandra a room whose members changed cannot be told who they are. */
const LOSSY: ReadonlySet<EngineName> = new Set(['redis', 'cassandra']);

interface Fault {
  readonly name: string;
  /** It takes away what carries live events to those who are connected. */
  readonly lossy?: boolean;
  /** Does it all, and resolves when everything is as before. */
  readonly inject: (cluster: Cluster, stack: Stack) => Promise<void>;
}

const options = new Command('cluster-faults')
  .description('Replays the logs over a cluster while each app and each engine in turn is killed; the history decides')
  .option('--stack <name>', 'the stack that it uses, which must run', 'default')
  .option('--only <fault>', 'a fault by the beginning of its name, repeatable', collect, [])
  .option('--log <file>', 'log to replay, repeatable; all by default', collect, [])
  .option('--speed <times>', 'how many times faster than it happened, or max', 'max')
  .option('--show-services', "print the services' own output", false)
  .parse()
  .opts<{ stack: string; only: string[]; log: string[]; speed: string; showServices: boolean }>();

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const cache = process.env['PARLEY_CACHE'] ?? join(homedir(), '.cache', 'parley');
const stack = await findStack({ folder: join(cache, 'stack', options.stack), cacheFolder: join(cache, 'engines') });
if (stack === undefined) throw new Error(`there is no stack "${options.stack}": \`make stack\` starts it`);

const cluster = await Cluster.start({
  engines: stack.environment(),
  env: { PARLEY_RATE_LIMITS: 'off', PARLEY_LOG_LEVEL: 'warn' },
  onLine: options.showServices ? logPrinter((text) => void process.stdout.write(text), false) : () => undefined,
});
const balancer = await Balancer.start(() => cluster.urls);
const results: { readonly fault: string; readonly report: ReplayReport; readonly tookMs: number }[] = [];
try {
  for (const fault of faults()) {
    if (options.only.length > 0 && !options.only.some((name) => fault.name.startsWith(name))) continue;
    print(`== ${fault.name}`);
    const startedMs = performance.now();
    const report = await under(fault);
    printReport(report, print);
    results.push({ fault: fault.name, report, tookMs: performance.now() - startedMs });
  }
} finally {
  await balancer.close();
  await cluster.stop();
}
printTable();
process.exit(results.every(({ report }) => report.ok) ? 0 : 1);

function faults(): readonly Fault[] {
  return [
    { name: 'none', inject: async () => undefined },
    ...SERVICES.map((service) => ({ name: `kill -9 ${service}`, inject: (of: Cluster) => killEach(of, service) })),
    ...ENGINES.map((engine) => ({
      name: `kill -9 ${engine}`,
      lossy: LOSSY.has(engine),
      inject: (_of: Cluster, its: Stack) => killEngine(its, engine),
    })),
    ...ENGINES.map((engine) => ({
      name: `stop ${engine}`,
      lossy: LOSSY.has(engine),
      inject: (_of: Cluster, its: Stack) => pauseEngine(its, engine),
    })),
  ];
}

/** Replays; the fault begins once a quarter of the steps are done. */
async function under(fault: Fault): Promise<ReplayReport> {
  let injecting: Promise<void> | undefined;
  const logs = options.log.length === 0 ? BUNDLED_LOGS.map(({ log }) => log) : options.log;
  const report = await replay({
    url: balancer.url,
    speed: options.speed === 'max' ? 'max' : Number(options.speed),
    lossy: fault.lossy === true,
    logs,
    onProgress({ phase, done, total }) {
      if (injecting === undefined && phase === 'playing' && done >= total / 4) {
        injecting = fault.inject(cluster, stack as Stack);
        injecting.catch(() => undefined);
      }
    },
  });
  if (injecting === undefined) throw new Error('the replay was over before anything could fail');
  await injecting;
  return report;
}

/** One instance after the other, each when the one before is back. */
async function killEach(of: Cluster, service: Service): Promise<void> {
  for (const process of of.of(service)) await process.kill();
}

async function killEngine(of: Stack, engine: EngineName): Promise<void> {
  await of.kill(engine);
  await sleep(ENGINE_DOWN_MS);
  await of.restart(engine);
}

async function pauseEngine(of: Stack, engine: EngineName): Promise<void> {
  await of.pause(engine);
  await sleep(PAUSE_MS);
  await of.resume(engine);
}

function printTable(): void {
  const header = [
    'fault',
    'sent',
    'acked',
    'resent',
    'reconn.',
    'lost',
    'dupl.',
    'reord.',
    'leaked',
    'altered',
    'failed',
    'unreach.',
    'unreach.',
  ];
  const rows = results.map(({ fault, report: { conversations }, tookMs }) => {
    const sum = (of: (one: (typeof conversations)[number]) => number): string =>
      String(conversations.reduce((total, one) => total + of(one), 0));
    return [
      fault,
      sum(({ sent }) => sent),
      sum(({ acknowledged }) => acknowledged),
      sum(({ resent }) => resent),
      sum(({ reconnections }) => reconnections),
      ...(['lost', 'duplicated', 'reordered', 'leaked', 'altered'] as const).map((kind) =>
        sum(({ verdict }) => verdict.counts[kind]),
      ),
      sum(({ failures }) => failures.length),
      sum(({ verdict }) => verdict.unreachable),
      Math.max(...conversations.map(({ sendToAck }) => sendToAck.maxMs)).toFixed(0),
      (tookMs / 1_000).toFixed(0),
    ];
  });
  const table = [[...header, 'ack max ms', 's'], ...rows];
  const widths = (table[0] ?? []).map((_, at) => Math.max(...table.map((row) => row[at]?.length ?? 0)));
  for (const row of table) {
    print(row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  '));
  }
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
