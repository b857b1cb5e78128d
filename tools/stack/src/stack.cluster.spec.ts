import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findStack, openStack, type Stack } from './stack.js';

/** Engines that start within a second, as a stack of its own: it needs none that runs already. */
const ENGINES = ['redis', 'etcd'] as const;
let root: string;
let stack: Stack;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'parley-stacks-'));
  stack = await openStack({ ...places(), engines: ENGINES, nodes: 3 });
  await stack.start();
});

afterAll(async () => {
  await (await findStack(places()))?.stop();
  await rm(root, { recursive: true, force: true });
});

const places = (): { folder: string; cacheFolder: string } => ({
  folder: join(root, 'spec'),
  cacheFolder: join(root, 'engines'),
});

async function pids(engine: string): Promise<readonly (number | undefined)[]> {
  return (await stack.status()).filter(({ node }) => node.engine === engine).map(({ pid }) => pid);
}

async function statusOf(name: string): Promise<string> {
  const status = (await stack.status()).find(({ node }) => node.name === name);
  return status?.state === 'running' && status.problem === undefined ? 'answers' : (status?.state ?? 'unknown');
}

describe('a running stack', () => {
  it('is found by another process, and not started twice', async () => {
    const [redis, etcd] = [await pids('redis'), await pids('etcd')];
    const found = await findStack({ ...places(), engines: ENGINES });
    await found?.start();
    expect(found?.settings).toEqual(stack.settings);
    expect(found?.started()).toEqual(ENGINES);
    expect([await pids('redis'), await pids('etcd')]).toEqual([redis, etcd]);
  });

  it('pauses and resumes an engine, which stays the same process', async () => {
    const before = await pids('redis');
    await stack.pause('redis');
    expect(await statusOf('redis-1')).toBe('paused');
    await stack.resume('redis');
    expect(await statusOf('redis-1')).toBe('answers');
    expect(await pids('redis')).toEqual(before);
  });

  it('kills one of three nodes; the others go on, and it comes back', async () => {
    const before = await pids('etcd');
    await stack.kill('etcd', 2);
    expect(await statusOf('etcd-2')).toBe('dead');
    await stack.untilAnswering('etcd'); // which includes an election, if it led
    expect(await statusOf('etcd-1')).toBe('answers');
    await expect(stack.kill('etcd', 2)).rejects.toThrow('etcd-2 is not running');
    await stack.restart('etcd', 2);
    expect(await statusOf('etcd-2')).toBe('answers');
    const after = await pids('etcd');
    expect([after[0], after[2]]).toEqual([before[0], before[2]]);
    expect(after[1]).not.toBe(before[1]);
  });

  it('restarts a running engine', async () => {
    const before = await pids('redis');
    await stack.restart('redis');
    expect(await statusOf('redis-1')).toBe('answers');
    expect(await pids('redis')).not.toEqual(before);
  });

  it('names a node that does not exist', async () => {
    await expect(stack.kill('etcd', 4)).rejects.toThrow('etcd has nodes 1 to 3, and no 4');
  });

  it('stops, paused or not, and leaves nothing when it is wiped', async () => {
    await stack.pause('redis');
    await stack.stop();
    expect(stack.started()).toEqual([]);
    await stack.wipe();
    await expect(stat(stack.folder)).rejects.toThrow('ENOENT');
  });
});
