import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { type LogLine, parseLine } from './service-process.js';

const NAME = 'migrate';

/** `admin migrate`, as the hook of an installation runs it. Rejects, with its last words, when it fails. */
export function migrate(
  admin: string,
  env: Readonly<Record<string, string>>,
  onLine: (name: string, line: LogLine | string) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [admin, 'migrate'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    let last = '';
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (text) => {
        last = text;
        onLine(NAME, parseLine(text));
      });
    }
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`the migration failed: ${last}`))));
  });
}
