import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where the engines are: of the named stack when it runs, else what the environment says by itself. */
export async function enginesFrom(stack: string): Promise<Readonly<Record<string, string>>> {
  const cache = process.env['PARLEY_CACHE'] ?? join(homedir(), '.cache', 'parley');
  try {
    return parseEnvironment(await readFile(join(cache, 'stack', stack, 'stack.env'), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    if (process.env['PARLEY_KAFKA_BROKERS'] !== undefined) return {};
    throw new Error(`the stack "${stack}" does not run: \`make stack\` starts it`, { cause: error });
  }
}

/** `NAME=value` lines. */
export function parseEnvironment(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\n')
      .filter((line) => /^[A-Z_]+=/.test(line))
      .map((line) => {
        const at = line.indexOf('=');
        return [line.slice(0, at), line.slice(at + 1)];
      }),
  );
}
