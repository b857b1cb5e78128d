import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { RestClient } from './rest-client.js';

/** As `make start` runs it. */
export const NODE_FLAGS = ['--max-semi-space-size=8'];

export interface ServerOptions {
  /** The built standalone server. */
  readonly entry: string;
  readonly dataDir: string;
  readonly port: number;
  /** Pins the server, its threads and its children to these cores, as `taskset` lists them. */
  readonly cores?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Where the server's own output goes; `ignore` by default. */
  readonly output?: 'inherit' | 'ignore';
  readonly readyWithinMs?: number;
}

const POLL_MS = 10;

/** A server under test in a process of its own. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
  }

  /** Starts it and answers once `GET /readyz` says 200. */
  static async start(options: ServerOptions): Promise<ServerProcess> {
    const command = [process.execPath, ...NODE_FLAGS, options.entry];
    const pinned = options.cores === undefined ? command : ['taskset', '-c', options.cores, ...command];
    const child = spawn(pinned[0] ?? '', pinned.slice(1), {
      stdio: ['ignore', options.output ?? 'ignore', options.output ?? 'ignore'],
      env: {
        ...process.env,
        PARLEY_PORT: String(options.port),
        PARLEY_DATA_DIR: options.dataDir,
        PARLEY_RATE_LIMITS: 'off',
        ...options.env,
      },
    });
    const server = new ServerProcess(child, `http://127.0.0.1:${options.port}`);
    stopWithThisProcess.add(child);
    child.once('exit', () => stopWithThisProcess.delete(child));
    try {
      await server.#ready(options.readyWithinMs ?? 30_000);
    } catch (error) {
      await server.kill();
      throw error;
    }
    return server;
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('the server has no process');
    return pid;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined;
  }

  /** Ends it as a crash does: nothing is flushed. */
  async kill(): Promise<void> {
    if (this.running) this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Asks it to stop, and kills it if it does not within `graceMs`. */
  async stop(graceMs = 10_000): Promise<void> {
    if (!this.running) return;
    this.#child.kill('SIGTERM');
    const cancel = new AbortController();
    const late = sleep(graceMs, 'late', { signal: cancel.signal }).catch(() => 'cancelled');
    if ((await Promise.race([this.#exited, late])) === 'late') await this.kill();
    cancel.abort();
  }

  async #ready(withinMs: number): Promise<void> {
    const rest = new RestClient(this.url, { timeoutMs: 2_000 });
    const deadline = performance.now() + withinMs;
    try {
      while (performance.now() < deadline) {
        if (!this.running) throw new Error(`the server exited with ${this.#child.exitCode ?? this.#child.signalCode}`);
        const status = await rest.send('GET', '/readyz').then(
          (answer) => answer.status,
          () => 0, // not listening yet
        );
        if (status === 200) return;
        await sleep(POLL_MS);
      }
    } finally {
      rest.close();
    }
    throw new Error(`the server was not ready within ${withinMs} ms`);
  }
}

/** Nothing that was started outlives this process, however it ends short of SIGKILL. */
const stopWithThisProcess = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of stopWithThisProcess) child.kill('SIGKILL');
});

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
