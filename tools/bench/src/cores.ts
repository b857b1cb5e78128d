import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';

/** A standalone server and its threads have one core, the generator the other: neither takes from the other. */
export const SERVER_CORE = '0';
const GENERATOR_CORE = '1';
/** Counted before this process is pinned: afterwards it would see one. */
export const CORE_COUNT = cpus().length;
export const ALL_CORES = `0-${CORE_COUNT - 1}`;

/** Beside a standalone server the generator has a core of its own; with a cluster everything shares all of them. */
export type GeneratorCores = 'own core' | 'all cores';

let pinnedTo: GeneratorCores | undefined;
let possible: boolean | undefined;

/** Pins this process, with its threads; false where there is no second core or no `taskset`. */
export function pinGenerator(to: GeneratorCores): boolean {
  if (pinnedTo === to) return possible ?? false;
  const cores = to === 'own core' ? GENERATOR_CORE : ALL_CORES;
  possible = CORE_COUNT > 1 && spawnSync('taskset', ['-a', '-c', '-p', cores, String(process.pid)]).status === 0;
  pinnedTo = to;
  return possible;
}

/** The command that runs `command` on these cores, where pinning is possible; a child would else inherit ours. */
export function onCores(cores: string, command: readonly string[]): readonly string[] {
  return possible === true ? ['taskset', '-c', cores, ...command] : command;
}
