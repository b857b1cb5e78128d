#!/usr/bin/env node
import { Command } from 'commander';
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { pinThisProcess } from './cores.js';
import { measureDirect } from './direct.js';
import { measureFetch } from './fetch.js';
import { measureHot } from './hot.js';
import { measureIdleAndBigRoom } from './idle.js';
import { machine, processText } from './report.js';
import { Rig } from './rig.js';
import { measureRoom } from './room.js';
import { FULL, QUICK } from './scale.js';
import { measureStart } from './start.js';
import { compare, type Figure, figureLine, TARGETS } from './targets.js';

/** In the order in which they are measured; each row gives some of the figures. */
const ROWS = {
  start: measureStart,
  idle: measureIdleAndBigRoom,
  direct: measureDirect,
  room: measureRoom,
  hot: measureHot,
  fetch: measureFetch,
} as const satisfies Record<string, (rig: Rig) => Promise<Figure[]>>;
type RowName = keyof typeof ROWS;
const isRow = (name: string): name is RowName => Object.hasOwn(ROWS, name);
const rowNames = Object.keys(ROWS).filter(isRow);

const STANDALONE = fileURLToPath(new URL('../../../apps/standalone/dist/main.js', import.meta.url));
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const command = new Command('bench')
  .description('Measures the standalone server against its targets')
  .option('--only <row>', `one row: ${rowNames.join(', ')}`)
  .option('--quick', 'small and short: whether it works, not how fast it is', false)
  .option('--json <file>', 'write the figures there too')
  .option('--server <file>', 'the built standalone server', STANDALONE)
  .option('--show-server', "print the server's own output", false)
  .parse();
const options = command.opts<{ only?: string; quick: boolean; json?: string; server: string; showServer: boolean }>();
const { only } = options;
if (only !== undefined && !isRow(only)) command.error(`no row ${only}; there are ${rowNames.join(', ')}`);
if (!existsSync(options.server)) command.error(`${options.server} is not built`);

// Everything that was started ends with this process: children and data directories hang on its `exit`.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const scale = options.quick ? QUICK : FULL;
pinThisProcess();
const startMs = performance.now();
const rig = new Rig(options.server, options.showServer ? 'inherit' : 'ignore', scale, print);
const conditions = machine(rig.dataDir);
for (const [what, value] of Object.entries(conditions)) print(`${what}: ${value}`);

const figures: Figure[] = [];
const failures: string[] = [];
for (const name of rowNames) {
  if (only !== undefined && only !== name) continue;
  print(`${name}:`);
  try {
    if (name !== 'start' && rig.accounts.length === 0) await rig.prepare();
    figures.push(...(await ROWS[name](rig)));
  } catch (error) {
    // One row that cannot be measured does not take the others with it; the run fails for it at the end.
    failures.push(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    print(`  FAILED ${failures.at(-1) ?? ''}`);
  }
}
if (rig.accounts.length > 0) {
  print(`sessions dropped by the server: ${rig.dropped}`);
  const generator = { cpuSeconds: process.cpuUsage().user / 1e6, rssBytes: process.memoryUsage.rss() };
  print(`server at the end: ${processText(await rig.stats())}; generator: ${processText(generator)}`);
}
await rig.close();

print('');
for (const figure of figures) print(figureLine(figure, !options.quick));
print(
  `${((performance.now() - startMs) / 1_000).toFixed(0)} s${options.quick ? ', quick: sizes and times are not the targets’' : ''}`,
);
if (options.json !== undefined) {
  const rows = figures.map((figure) => ({
    ...figure,
    target: TARGETS[figure.name],
    comparison: compare(figure, !options.quick),
  }));
  writeFileSync(
    options.json,
    `${JSON.stringify({ conditions, quick: options.quick, figures: rows, failures }, null, 2)}\n`,
  );
}
process.exit(failures.length === 0 ? 0 : 1);
