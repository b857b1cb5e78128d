#!/usr/bin/env node
import { type Counts, type Service, SERVICES } from '@parley/cluster';
import { Command, InvalidArgumentError, Option } from 'commander';
import { existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

import { BENCH_COUNTS, ClusterDeployment } from './cluster-deployment.js';
import { pinGenerator } from './cores.js';
import { type DeploymentName, Standalone } from './deployment.js';
import { measureDirect, warm } from './direct.js';
import { measureFetch } from './fetch.js';
import { measureHot } from './hot.js';
import { measureIdleAndBigRoom } from './idle.js';
import { machine, processText } from './report.js';
import { Rig } from './rig.js';
import { measureRoom } from './room.js';
import { FULL, onCluster, QUICK, type Scale } from './scale.js';
import { measureStart } from './start.js';
import { compare, type Figure, figureLine, type Measured, targetOf } from './targets.js';

const STANDALONE = fileURLToPath(new URL('../../../apps/standalone/dist/main.js', import.meta.url));
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** In the order in which they are measured; each row gives some of the figures. */
const ROWS = {
  start: (rig: Rig): Promise<Figure[]> => measureStart(options.server, rig),
  direct: measureDirect,
  room: measureRoom,
  hot: measureHot,
  fetch: measureFetch,
  idle: measureIdleAndBigRoom,
} as const satisfies Record<string, (rig: Rig) => Promise<Figure[]>>;
type RowName = keyof typeof ROWS;
const isRow = (name: string): name is RowName => Object.hasOwn(ROWS, name);
const rowNames = Object.keys(ROWS).filter(isRow);

interface Options {
  readonly only: readonly string[];
  readonly quick: boolean;
  readonly cluster: boolean;
  readonly standalone: boolean;
  readonly count: Partial<Counts>;
  readonly commitlog?: 'batch' | 'group' | 'periodic';
  readonly accounts?: number;
  readonly rounds: number;
  readonly profile?: string;
  readonly json?: string;
  readonly server: string;
  readonly showServer: boolean;
}

const command = new Command('bench')
  .description('Measures the standalone server, and with --cluster a cluster in turn with it, against their targets')
  .option(
    '--only <row>',
    `some rows, repeatable: ${rowNames.join(', ')}`,
    (name, before: string[]) => [...before, name],
    [],
  )
  .option('--quick', 'small and short: whether it works, not how fast it is', false)
  .option('--cluster', 'a cluster too, on engines of its own: each row on one and on the other', false)
  .option('--no-standalone', 'the cluster only')
  .option('--count <service=n>', `of the cluster, repeatable (default: ${JSON.stringify(BENCH_COUNTS)})`, counted, {})
  .addOption(
    new Option('--commitlog <sync>', 'when Cassandra waits for its disk').choices(['batch', 'group', 'periodic']),
  )
  .option('--accounts <count>', 'at most so many', Number)
  .option('--rounds <count>', 'each row so often', Number, 1)
  .option('--profile <folder>', "where the cluster's services write V8's CPU profiles")
  .option('--json <file>', 'write the figures there too')
  .option('--server <file>', 'the built standalone server', STANDALONE)
  .option('--show-server', "print the servers' own output", false)
  .parse();
const options: Options = command.opts<Options>();
for (const name of options.only) {
  if (!isRow(name)) command.error(`no row ${name}; there are ${rowNames.join(', ')}`);
}
if (!options.standalone && !options.cluster) command.error('--no-standalone leaves nothing without --cluster');
if (!existsSync(options.server)) command.error(`${options.server} is not built`);

const scale = limited(options.quick ? QUICK : FULL);
const startMs = performance.now();
const rigs = new Map<DeploymentName, Rig>();
// Everything that was started ends with this process; what a signal finds of a cluster is stopped in order.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    printFigures();
    void closeAll().finally(() => process.exit(130));
  });
}

const figures: Measured[] = [];
const failures: string[] = [];
const conditions: Record<string, string> = { ...machine(tmpdir()) };
try {
  if (options.cluster) {
    const { count: counts, commitlog, showServer: showServices, profile: profiles } = options;
    const cluster = await ClusterDeployment.start({ counts, commitlog, showServices, profiles });
    rigs.set('cluster', new Rig(cluster, limited(onCluster(options.quick ? QUICK : FULL)), print));
    Object.assign(conditions, cluster.conditions);
  }
  if (options.standalone) {
    const standalone = new Standalone(options.server, options.showServer ? 'inherit' : 'ignore');
    rigs.set('standalone', new Rig(standalone, scale, print));
    conditions['cores'] = pinGenerator('own core')
      ? 'standalone: server on core 0, generator on core 1; cluster: all of it and the generator on all cores'
      : 'NOT PINNED: fewer than two cores, or no taskset';
  }
  for (const [what, value] of Object.entries(conditions)) print(`${what}: ${value}`);
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const name of rowNames) {
      if (options.only.length > 0 && !options.only.includes(name)) continue;
      for (const rig of round % 2 === 0 ? [...rigs.values()].reverse() : rigs.values()) await measure(name, rig);
    }
  }
  for (const [name, rig] of rigs) {
    if (rig.accounts.length === 0) continue;
    print(`${name}: sessions dropped by the server: ${rig.dropped}`);
    for (const [process, stats] of await rig.statsOfEach()) print(`  ${process} at the end: ${processText(stats)}`);
  }
  const generator = { cpuSeconds: process.cpuUsage().user / 1e6, rssBytes: process.memoryUsage.rss() };
  print(`generator: ${processText(generator)}`);
} finally {
  await closeAll();
}

printFigures();
if (options.json !== undefined) {
  const rows = figures.map((figure) => ({
    ...figure,
    target: targetOf(figure),
    comparison: compare(figure, !options.quick),
  }));
  writeFileSync(
    options.json,
    `${JSON.stringify({ conditions, quick: options.quick, figures: rows, failures }, null, 2)}\n`,
  );
}
process.exit(failures.length === 0 ? 0 : 1);

function printFigures(): void {
  print('');
  for (const figure of figures) print(figureLine(figure, !options.quick));
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  print(`${seconds} s${options.quick ? ', quick: sizes and times are not the targets’' : ''}`);
}

async function measure(name: RowName, rig: Rig): Promise<void> {
  const on = rig.deployment.name;
  if (name === 'start' && on === 'cluster') return;
  print(`${name}, ${on}:`);
  rig.deployment.pinGenerator();
  try {
    if (name !== 'start' && rig.accounts.length === 0) {
      await rig.prepare();
      await warm(rig);
    }
    figures.push(...(await ROWS[name](rig)).map((figure) => ({ ...figure, on })));
  } catch (error) {
    // One row that cannot be measured does not take the others with it; the run fails for it at the end.
    failures.push(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    print(`  FAILED ${failures.at(-1) ?? ''}`);
  }
}

async function closeAll(): Promise<void> {
  const open = [...rigs.values()];
  rigs.clear();
  await Promise.all(open.map((rig) => rig.close()));
}

function limited(of: Scale): Scale {
  const { accounts = of.accounts } = options;
  return { ...of, accounts: Math.min(of.accounts, accounts), accountsMin: Math.min(of.accountsMin, accounts) };
}

function counted(text: string, before: Partial<Record<Service, number>>): Partial<Record<Service, number>> {
  const [name, count] = text.split('=');
  const service = SERVICES.find((each) => each === name);
  if (service === undefined || !/^[1-9]\d?$/.test(count ?? '')) {
    throw new InvalidArgumentError(`of the form ${SERVICES.join('|')}=<number>`);
  }
  return { ...before, [service]: Number(count) };
}
