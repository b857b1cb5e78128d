import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { ENGINES, type EngineName, type StackSettings } from './engine.js';
import { exclusive } from './exclusive.js';
import { choosePorts, portsOf } from './ports.js';

export const SETTINGS_FILE = 'stack.json';

export interface WantedSettings {
  readonly nodes?: StackSettings['nodes'] | undefined;
  readonly redis?: StackSettings['redis'] | undefined;
  readonly commitlog?: StackSettings['commitlog'] | undefined;
  readonly ports?: Partial<StackSettings['ports']> | undefined;
}

/** Those of the stack in this folder, which are made if there is none; what is wanted has to agree with what is there. */
export async function openSettings(folder: string, wanted: WantedSettings): Promise<StackSettings> {
  const siblings = dirname(folder);
  await mkdir(folder, { recursive: true });
  return exclusive(siblings, async () => {
    const present = await readSettings(folder);
    if (present !== undefined) {
      checkAgrees(folder, present, wanted);
      return present;
    }
    const shape = { nodes: wanted.nodes ?? 1, redis: wanted.redis ?? 'single' } as const;
    const settings: StackSettings = {
      ...shape,
      commitlog: wanted.commitlog ?? 'batch',
      ports: await choosePorts({ shape, configured: wanted.ports, taken: await portsOfStacksIn(siblings) }),
      mysqlPassword: randomBytes(12).toString('hex'),
    };
    const file = join(folder, SETTINGS_FILE);
    await writeFile(`${file}.new`, `${JSON.stringify(settings, null, 2)}\n`, { mode: 0o600 });
    await rename(`${file}.new`, file);
    return settings;
  });
}

export async function readSettings(folder: string): Promise<StackSettings | undefined> {
  const file = join(folder, SETTINGS_FILE);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const settings = parseSettings(JSON.parse(text));
  if (settings === undefined) throw new Error(`${file} is not what a stack writes; remove the folder of the stack`);
  return settings;
}

/** Undefined for anything that this program did not write. */
export function parseSettings(value: unknown): StackSettings | undefined {
  if (!isRecord(value) || !isRecord(value['ports'])) return undefined;
  const { nodes, redis, commitlog, ports, mysqlPassword } = value;
  if (nodes !== 1 && nodes !== 3) return undefined;
  if (redis !== 'single' && redis !== 'cluster') return undefined;
  if (commitlog !== 'periodic' && commitlog !== 'group' && commitlog !== 'batch') return undefined;
  if (typeof mysqlPassword !== 'string' || !/^[\da-f]+$/.test(mysqlPassword)) return undefined;
  if (!hasAllPorts(ports)) return undefined;
  return { nodes, redis, commitlog, ports, mysqlPassword };
}

function checkAgrees(folder: string, present: StackSettings, wanted: WantedSettings): void {
  const differing = (['nodes', 'redis', 'commitlog'] as const)
    .filter((name) => wanted[name] !== undefined && wanted[name] !== present[name])
    .map((name) => `${name} is ${present[name]}, not ${wanted[name]}`);
  for (const engine of ENGINES) {
    const port = wanted.ports?.[engine];
    if (port !== undefined && port !== present.ports[engine]) {
      differing.push(`the port of ${engine} is ${present.ports[engine]}, not ${port}`);
    }
  }
  if (differing.length > 0) {
    throw new Error(
      `the stack in ${folder} is another: ${differing.join('; ')}. Make it anew (--fresh), or use another`,
    );
  }
}

async function portsOfStacksIn(siblings: string): Promise<ReadonlySet<number>> {
  const stacks = await Promise.all((await readdir(siblings)).map((name) => readSettings(join(siblings, name))));
  return new Set(
    stacks.flatMap((settings) =>
      settings === undefined
        ? []
        : ENGINES.flatMap((engine) => portsOf(engine, settings.ports[engine], settings).map(({ port }) => port)),
    ),
  );
}

function hasAllPorts(ports: Record<string, unknown>): ports is Record<EngineName, number> {
  return ENGINES.every((engine) => {
    const port = ports[engine];
    return typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536;
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
