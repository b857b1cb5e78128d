#!/usr/bin/env node
import { freePort, ServerProcess } from '@parley/load';
import { Command } from 'commander';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { killPoints, seeded } from './kill-points.js';
import { progressPrinter, printReport } from './report.js';
import { replay, type ReplayProgress } from './replay.js';

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const STANDALONE = fileURLToPath(new URL('../../../apps/standalone/dist/main.js', import.meta.url));
const KILL_DELAY_MAX_MS = 150;
const DOWN_MAX_MS = 1_000;

const options = new Command('faults')
  .description('Kills the server in the middle of a replay, restarts it, and proves the same as without')
  .option('--kills <count>', 'how often it is killed', Number, 3)
  .option('--seed <number>', 'of the moments', Number, 1)
  .option('--server <file>', 'the built standalone server', STANDALONE)
  .option(
    '--log <file>',
    'log to replay, repeatable',
    (value: string, before: string[]) => [...before, value],
    [] as string[],
  )
  .option('--show-server', "print the server's own output", false)
  .parse()
  .opts<{ kills: number; seed: number; server: string; log: string[]; showServer: boolean }>();

const random = seeded(options.seed);
const dataDir = mkdtempSync(join(tmpdir(), 'parley-faults-'));
process.once('exit', () => rmSync(dataDir, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const how = {
  entry: options.server,
  dataDir,
  port: await freePort(),
  output: options.showServer ? 'inherit' : 'ignore',
} as const;
let server = await ServerProcess.start(how);
const points = killPoints(options.kills, random);
let kills = 0;
let killing: Promise<void> | undefined;

const showProgress = progressPrinter(print);
const report = await replay({
  url: server.url,
  speed: 'max',
  random: seeded(options.seed + 1),
  ...(options.log.length === 0 ? {} : { logs: options.log }),
  onProgress: (progress) => {
    showProgress(progress);
    if (killing === undefined && due(progress)) killing = killAndRestart().finally(() => (killing = undefined));
  },
});
await killing;
printReport(report, print);
print(`Killed ${kills} of ${options.kills} times with seed ${options.seed}.`);
await server.stop();
process.exit(report.ok && kills === options.kills ? 0 : 1);

function due({ phase, done, total }: ReplayProgress): boolean {
  const point = points[kills];
  return phase === 'playing' && point !== undefined && done / total >= point;
}

async function killAndRestart(): Promise<void> {
  await sleep(random() * KILL_DELAY_MAX_MS);
  const killedMs = performance.now();
  await server.kill();
  kills += 1;
  await sleep(random() * DOWN_MAX_MS);
  server = await ServerProcess.start(how);
  print(`kill ${kills}: ready again after ${(performance.now() - killedMs).toFixed(0)} ms`);
}
