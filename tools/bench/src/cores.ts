import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';

/** The server and its threads have one core, the generator the other: neither takes from the other. */
export const SERVER_CORE = '0';
const GENERATOR_CORE = '1';
/** Counted before this process is pinned: afterwards it would see one. */
export const CORE_COUNT = cpus().length;
export const ALL_CORES = `0-${CORE_COUNT - 1}`;

let pinned: boolean | undefined;

/** Pins this process to the generator's core, once; false where there is no second core or no `taskset`. */
export function pinThisProcess(): boolean {
  pinned ??=
    CORE_COUNT > 1 && spawnSync('taskset', ['-a', '-c', '-p', GENERATOR_CORE, String(process.pid)]).status === 0;
  return pinned;
}

/** The command that runs `command` on these cores, where pinning is possible; a child would else inherit ours. */
export function onCores(cores: string, command: readonly string[]): readonly string[] {
  return pinThisProcess() ? ['taskset', '-c', cores, ...command] : command;
}
