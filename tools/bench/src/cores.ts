import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** The server and its threads have one core, the generator the other: neither takes from the other. */
export const SERVER_CORE = 0;
export const GENERATOR_CORE = 1;

let pinned: boolean | undefined;

/** Pins this process to the generator's core, once; false where there is no second core or no `taskset`. */
export function pinThisProcess(): boolean {
  if (pinned === undefined) {
    const enough = availableParallelism() > 1;
    pinned =
      enough && spawnSync('taskset', ['-a', '-c', '-p', String(GENERATOR_CORE), String(process.pid)]).status === 0;
  }
  return pinned;
}
