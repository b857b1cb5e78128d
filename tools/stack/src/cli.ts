import { Command, InvalidArgumentError, Option } from 'commander';

import { type CommitLogSync, ENGINES, type EngineName, type NodeCount, type RedisMode } from './engine.js';

export interface UpOptions {
  readonly name: string;
  readonly nodes?: NodeCount;
  readonly only?: readonly EngineName[];
  readonly redis?: RedisMode;
  readonly commitlog?: CommitLogSync;
  readonly port: Readonly<Partial<Record<EngineName, number>>>;
  readonly fresh: boolean;
}

export interface NodeOptions {
  readonly name: string;
  readonly node?: number;
}

/** What the commands do; apart from their parsing, so that each can be tested without the other. */
export interface Actions {
  up(options: UpOptions): Promise<void>;
  down(options: { readonly name: string; readonly wipe: boolean }): Promise<void>;
  status(options: { readonly name: string }): Promise<void>;
  env(options: { readonly name: string }): Promise<void>;
  logs(engine: EngineName | undefined, options: { readonly name: string }): Promise<void>;
  fault(fault: Fault, engine: EngineName, options: NodeOptions): Promise<void>;
}

export const FAULTS = ['kill', 'pause', 'resume', 'restart'] as const;
export type Fault = (typeof FAULTS)[number];

const FAULT_DESCRIPTIONS: Readonly<Record<Fault, string>> = {
  kill: 'End an engine as a crash does (SIGKILL)',
  pause: 'Stop an engine in its tracks, connections open (SIGSTOP)',
  resume: 'Let a paused engine go on (SIGCONT), and wait until it answers',
  restart: 'Stop an engine, unless it is dead, start it, and wait until it answers',
};

export function stackCommand(actions: Actions): Command {
  const program = new Command('stack').description(
    'Kafka, Cassandra, Redis, MariaDB and etcd on this machine, without containers (docs/development-stack.md)',
  );
  command('up', 'Install what is missing, start what is not running, wait until all of it answers')
    .addOption(new Option('--nodes <count>', 'of Kafka, Cassandra and etcd each (default: 1)').argParser(nodeCountIn))
    .addOption(new Option('--only <engines>', `some of ${ENGINES.join(',')}`).argParser(enginesIn))
    .addOption(new Option('--redis <mode>', 'one server, or three masters').choices(['single', 'cluster']))
    .addOption(
      new Option('--commitlog <sync>', 'when Cassandra waits for its disk').choices(['periodic', 'group', 'batch']),
    )
    .addOption(
      new Option('--port <engine=port>', 'instead of a free one, repeatable')
        .argParser(portIn)
        .default({}, 'free ones'),
    )
    .option('--fresh', 'without the data, ports and options of before', false)
    .action((options: UpOptions) => actions.up(options));
  command('down', 'Stop everything')
    .option('--wipe', 'and remove data and logs', false)
    .action((options: { name: string; wipe: boolean }) => actions.down(options));
  command('status', 'What runs, where, with how much memory, and whether it answers').action(
    (options: { name: string }) => actions.status(options),
  );
  command('env', 'The settings that name the engines, as KEY=value lines').action((options: { name: string }) =>
    actions.env(options),
  );
  command('logs', 'The end of the logs')
    .argument('[engine]', ENGINES.join(', '), engineIn)
    .action((engine: EngineName | undefined, options: { name: string }) => actions.logs(engine, options));
  for (const fault of FAULTS) {
    command(fault, FAULT_DESCRIPTIONS[fault])
      .argument('<engine>', ENGINES.join(', '), engineIn)
      .option('--node <number>', 'one of its nodes (default: all)', nodeIn)
      .action((engine: EngineName, options: NodeOptions) => actions.fault(fault, engine, options));
  }
  return program;

  function command(name: string, description: string): Command {
    return program.command(name).description(description).option('--name <stack>', 'which stack', nameIn, 'default');
  }
}

function engineIn(text: string): EngineName {
  const engine = ENGINES.find((name) => name === text);
  if (engine === undefined) throw new InvalidArgumentError(`one of ${ENGINES.join(', ')}`);
  return engine;
}

function enginesIn(text: string): readonly EngineName[] {
  return [...new Set(text.split(',').map((name) => engineIn(name.trim())))];
}

function nodeCountIn(text: string): NodeCount {
  if (text === '1') return 1;
  if (text === '3') return 3;
  throw new InvalidArgumentError('1 or 3');
}

function nodeIn(text: string): number {
  if (!/^[1-9]$/.test(text)) throw new InvalidArgumentError('a number from 1');
  return Number(text);
}

function portIn(text: string, before: UpOptions['port']): UpOptions['port'] {
  const [engine, port] = text.split('=');
  if (engine === undefined || port === undefined || !/^\d{4,5}$/.test(port) || Number(port) > 65_000) {
    throw new InvalidArgumentError('like kafka=9092, with a port from 1000 to 65000');
  }
  return { ...before, [engineIn(engine)]: Number(port) };
}

/** Becomes the name of a folder. */
function nameIn(text: string): string {
  if (!/^[\w-]{1,40}$/.test(text)) throw new InvalidArgumentError('letters, digits, _ and -');
  return text;
}
