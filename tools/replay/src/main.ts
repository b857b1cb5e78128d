#!/usr/bin/env node
import { Command, InvalidArgumentError } from 'commander';

import { progressPrinter, printReport } from './report.js';
import { replay } from './replay.js';

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const options = new Command('replay')
  .description('Replays IRC logs through real clients and proves what every one of them saw')
  .option('--url <url>', 'public address of the server', 'http://127.0.0.1:8080')
  .option('--speed <factor>', 'so many times faster than it happened, or "max"', speedOf, 60)
  .option('--log <file>', 'log to replay, repeatable (default: the three bundled ones)', collect, [] as string[])
  .option('--in-flight <count>', 'steps under way at once, for each log', countOf, 64)
  .parse()
  .opts<{ url: string; speed: number | 'max'; log: string[]; inFlight: number }>();

const report = await replay({
  url: options.url,
  speed: options.speed,
  inFlightMax: options.inFlight,
  ...(options.log.length === 0 ? {} : { logs: options.log }),
  onProgress: progressPrinter(print),
});
printReport(report, print);
process.exitCode = report.ok ? 0 : 1;

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function speedOf(text: string): number | 'max' {
  if (text === 'max') return 'max';
  const factor = Number(text);
  if (!(factor > 0)) throw new InvalidArgumentError('a positive number, or "max"');
  return factor;
}

function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('a whole number from 1');
  return count;
}
