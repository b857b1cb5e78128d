#!/usr/bin/env node
import { ConfigError } from '@parley/service-kit';
import { Command, InvalidArgumentError, Option } from 'commander';

import { topicNames } from './dead-letters.js';

const EXIT_CONFIG = 78;

const program = new Command('parley-admin').description('What operators run beside the services');

program
  .command('migrate')
  .description(
    'Makes schemas and topics what this version needs; does nothing where they are. Several may run at once.',
  )
  .action(async () => {
    const { migrate } = await import('./migrate.js');
    await migrate(process.env, print);
  });

const deadLetters = program.command('dead-letters').description('Records that could not be handled');
const topicOption = new Option('--topic <name>', 'the topic').choices([...topicNames]).makeOptionMandatory();

deadLetters
  .command('list')
  .description('The newest, or from an offset on; one JSON object a line')
  .addOption(topicOption)
  .option('--group <name>', 'only those of this consumer group')
  .option('--from <offset>', 'from this offset on, oldest first')
  .option('--limit <count>', 'at most this many', count, 100)
  .action(async (options) => {
    const { listLetters } = await import('./dead-letters.js');
    await listLetters(process.env, options, print);
  });

deadLetters
  .command('replay')
  .description('Publishes those that were not replayed yet to their topic again, oldest first')
  .addOption(topicOption)
  .option('--limit <count>', 'at most this many', count, 1_000)
  .action(async (options) => {
    const { replayLetters } = await import('./dead-letters.js');
    await replayLetters(process.env, options, print);
  });

program
  .command('simulate-reconnect')
  .description('What happens when a chat server dies: arrivals each 100 ms, the fullest server, when all are back')
  .option('--clients <count>', 'that lose their server', count, 50_000)
  .option('--servers <count>', 'that remain', count, 3)
  .option('--capacity <count>', 'sessions that each of them takes', count, 60_000)
  .option('--connections <count>', 'sessions that each of them has', count, 40_000)
  .option('--gateways <count>', 'that assign', count, 3)
  .option('--handshakes <count>', 'sessions that a server opens a second', count, 2_000)
  .option('--assignments <count>', 'that a gateway makes a second', count, 3_000)
  .action(async (options) => {
    const { simulate } = await import('./reconnect.js');
    simulate(options, print);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof ConfigError ? EXIT_CONFIG : 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function count(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('a number from 1 on');
  return Number(text);
}
