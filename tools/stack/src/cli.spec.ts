import { beforeEach, describe, expect, it } from '@jest/globals';

import { type Actions, stackCommand } from './cli.js';

let called: unknown[];
beforeEach(() => void (called = []));

const record =
  (name: string) =>
  (...args: unknown[]): Promise<void> => {
    called = [name, ...args];
    return Promise.resolve();
  };
const ACTIONS: Actions = {
  up: record('up'),
  down: record('down'),
  status: record('status'),
  env: record('env'),
  logs: record('logs'),
  fault: record('fault'),
};

async function parse(line: string): Promise<unknown[]> {
  const command = stackCommand(ACTIONS);
  for (const each of [command, ...command.commands]) {
    each.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
  }
  await command.parseAsync(line.split(' '), { from: 'user' });
  return called;
}

describe('the command line', () => {
  it('starts the default stack without asking for anything', async () => {
    expect(await parse('up')).toEqual(['up', { name: 'default', port: {}, fresh: false }]);
  });

  it('takes everything that a stack is made of', async () => {
    const line =
      'up --name a-b --nodes 3 --only redis,etcd --redis cluster --commitlog group --port kafka=9092 --port etcd=2379 --fresh';
    expect(await parse(line)).toMatchObject([
      'up',
      {
        name: 'a-b',
        nodes: 3,
        only: ['redis', 'etcd'],
        redis: 'cluster',
        commitlog: 'group',
        port: { kafka: 9_092, etcd: 2_379 },
        fresh: true,
      },
    ]);
  });

  it.each(['kill', 'pause', 'resume', 'restart'])('%s names an engine, and maybe one of its nodes', async (fault) => {
    expect(await parse(`${fault} kafka`)).toMatchObject(['fault', fault, 'kafka', { name: 'default' }]);
    expect(await parse(`${fault} etcd --node 2 --name x`)).toMatchObject([
      'fault',
      fault,
      'etcd',
      { name: 'x', node: 2 },
    ]);
  });

  it('has the other commands', async () => {
    expect(await parse('down --wipe')).toMatchObject(['down', { name: 'default', wipe: true }]);
    expect(await parse('status --name x')).toMatchObject(['status', { name: 'x' }]);
    expect(await parse('env')).toMatchObject(['env', { name: 'default' }]);
    expect(await parse('logs')).toMatchObject(['logs', undefined, { name: 'default' }]);
    expect(await parse('logs mysql')).toMatchObject(['logs', 'mysql', { name: 'default' }]);
  });

  it.each([
    'up --nodes 2',
    'up --only redis,mongo',
    'up --redis sentinel',
    'up --commitlog never',
    'up --port kafka',
    'up --port kafka=80',
    'up --port mongo=27017',
    'up --name ../elsewhere',
    'kill',
    'kill zookeeper',
    'kill kafka --node 0',
    'explode',
  ])('refuses: %s', async (line) => {
    await expect(parse(line)).rejects.toThrow();
    expect(called).toEqual([]);
  });
});
