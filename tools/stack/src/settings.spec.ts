import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openSettings, readSettings } from './settings.js';

let stacks: string;
beforeEach(async () => void (stacks = await mkdtemp(join(tmpdir(), 'parley-stacks-'))));
afterEach(() => rm(stacks, { recursive: true, force: true }));

describe("a stack's settings", () => {
  it('are made once and found again', async () => {
    const folder = join(stacks, 'one');
    const made = await openSettings(folder, { nodes: 3, commitlog: 'group', ports: { kafka: 20_500 } });
    expect(made).toMatchObject({ nodes: 3, redis: 'single', commitlog: 'group', ports: { kafka: 20_500 } });
    expect(await readSettings(folder)).toEqual(made);
    expect(await openSettings(folder, {})).toEqual(made);
    expect(await openSettings(folder, { nodes: 3, ports: { kafka: 20_500 } })).toEqual(made);
  });

  it('have a commit log that a kill loses nothing of, unless another is asked for', async () => {
    expect(await openSettings(join(stacks, 'one'), {})).toMatchObject({
      nodes: 1,
      redis: 'single',
      commitlog: 'batch',
    });
  });

  it('are made once when two make them at the same time', async () => {
    const folder = join(stacks, 'one');
    const [first, second] = await Promise.all([openSettings(folder, {}), openSettings(folder, {})]);
    expect(second).toEqual(first);
  });

  it('have a password of their own, which only the owner can read', async () => {
    const one = await openSettings(join(stacks, 'one'), {});
    const two = await openSettings(join(stacks, 'two'), {});
    expect(one.mysqlPassword).not.toBe(two.mysqlPassword);
    expect((await stat(join(stacks, 'one', 'stack.json'))).mode & 0o777).toBe(0o600);
  });

  it('do not change under the data that were made with them', async () => {
    const folder = join(stacks, 'one');
    const { ports } = await openSettings(folder, {});
    const wanted = { nodes: 3, redis: 'cluster', ports: { etcd: ports.etcd + 1 } } as const;
    await expect(openSettings(folder, wanted)).rejects.toThrow(
      `nodes is 1, not 3; redis is single, not cluster; the port of etcd is ${ports.etcd}, not ${ports.etcd + 1}`,
    );
  });

  it('are none where there is no stack', async () => {
    expect(await readSettings(join(stacks, 'none'))).toBeUndefined();
  });

  it('are refused when another program wrote them', async () => {
    const folder = join(stacks, 'one');
    await openSettings(folder, {});
    const file = join(folder, 'stack.json');
    const text = await readFile(file, 'utf8');
    for (const damaged of [
      '{}',
      'null',
      text.replace('"nodes": 1', '"nodes": 2'),
      text.replace(/"kafka": \d+/, '"kafka": 0'),
    ]) {
      await writeFile(file, damaged);
      await expect(readSettings(folder)).rejects.toThrow('is not what a stack writes');
    }
  });
});
