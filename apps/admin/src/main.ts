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
