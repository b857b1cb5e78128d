import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';

import { isExecutable } from './files.js';

const OUTPUT_MAX_CHARS = 20_000;
const ERROR_LINES = 15;
/** Daemons live in folders that are on the PATH of root alone. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** Runs a program to its end and answers with the last of its output; anything but success throws with it. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-OUTPUT_MAX_CHARS);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => reject(new Error(`${command}: ${error.message}`, { cause: error })));
    child.once('close', (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} ended with ${code ?? signal}:\n${lastLines(output, ERROR_LINES)}`));
    });
  });
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/** Where the program is; undefined if it is not installed. */
export async function findProgram(name: string): Promise<string | undefined> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const folder of [...folders, ...SYSTEM_FOLDERS]) {
    const file = join(folder, name);
    if (await isExecutable(file)) return file;
  }
  return undefined;
}

export async function programOf(name: string): Promise<string> {
  const file = await findProgram(name);
  if (file === undefined) throw new Error(`${name} is not installed`);
  return file;
}

/** What the program says of its version, like 7.0.15. */
export async function versionOf(program: string): Promise<string> {
  return /\d+\.\d+\.\d+/.exec(await run(program, ['--version']))?.[0] ?? 'of an unknown version';
}
