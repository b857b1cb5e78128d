#!/usr/bin/env node
import { homedir } from 'node:os';
import { join } from 'node:path';

import { stackActions } from './actions.js';
import { stackCommand } from './cli.js';

const cache = process.env['PARLEY_CACHE'] ?? join(homedir(), '.cache', 'parley');
const interrupted = new AbortController();

function interruptible(): AbortSignal {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => interrupted.abort(new Error('interrupted; `stack down` stops what was started')));
  }
  return interrupted.signal;
}

try {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  await stackCommand(stackActions({ cache, print, interruptible })).parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = interrupted.signal.aborted ? 130 : 1;
}
