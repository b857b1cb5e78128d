import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { z } from 'zod';

const ENTRY = fileURLToPath(new URL('../../../apps/standalone/dist/main.js', import.meta.url));
const READY_WITHIN_MS = 15_000;
const STOP_WITHIN_MS = 5_000;
/** Lines of the server's log that are kept, to be shown when it does not start. */
const LOG_LINES_MAX = 2_000;

const ReadyLine = z.object({ msg: z.literal('ready'), port: z.int(), internalPort: z.int() });
const LogLine = z.looseObject({ level: z.string(), msg: z.string().optional() });
export type LogLine = z.infer<typeof LogLine>;

/** The address of a server that runs already and is to be tested instead of one of our own. */
export const OUTSIDE_URL = process.env['PARLEY_E2E_URL'];

/** The server under test: a process of its own on any free port, with its data in a folder of its own. */
export class Server {
  readonly dataDir: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #log: LogLine[] = [];
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #port = 0;
  #internalPort = 0;

  private constructor(dataDir: string, env: Readonly<Record<string, string>>) {
    this.dataDir = dataDir;
    this.#env = env;
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<Server> {
    const server = new Server(await mkdtemp(join(tmpdir(), 'parley-e2e-')), env);
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get internalUrl(): string {
    return `http://127.0.0.1:${this.#internalPort}`;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('The server does not run');
    return pid;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when the process is gone. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  /** What the server logged at this level. */
  logged(level: string): readonly LogLine[] {
    return this.#log.filter((line) => line.level === level);
  }

  /** Starts it, after a `kill` on the same port and data; resolves when its log says that it is ready. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [ENTRY], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        PARLEY_RATE_LIMITS: 'off',
        PARLEY_HOST: '127.0.0.1',
        ...this.#env,
        PARLEY_PORT: String(this.#port),
        PARLEY_INTERNAL_PORT: '0',
        PARLEY_DATA_DIR: this.dataDir,
      },
    });
    this.#child = child;
    started.add(child);
    const ready = new Promise<z.infer<typeof ReadyLine>>((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`The server was not ready in time:\n${this.#tail()}`)),
        READY_WITHIN_MS,
      );
      this.#exited = new Promise((exited) => {
        child.once('close', (code, signal) => {
          clearTimeout(late);
          started.delete(child);
          reject(new Error(`The server exited with ${code ?? signal}:\n${this.#tail()}`));
          exited();
        });
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const parsed = this.#note(line);
        const { success, data } = ReadyLine.safeParse(parsed);
        if (!success) return;
        clearTimeout(late);
        resolve(data);
      });
    });
    createInterface({ input: child.stderr }).on('line', (line) => this.#note(line));
    const { port, internalPort } = await ready;
    this.#port = port;
    this.#internalPort = internalPort;
  }

  /** Ends it as a crash does: nothing is flushed, nobody is told. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  /** Asks it to stop, and removes its data. */
  async stop(): Promise<void> {
    if (this.running) {
      this.#child?.kill('SIGTERM');
      const late = setTimeout(() => this.#child?.kill('SIGKILL'), STOP_WITHIN_MS);
      await this.#exited;
      clearTimeout(late);
    }
    await rm(this.dataDir, { recursive: true, force: true });
  }

  #note(line: string): LogLine {
    let parsed: LogLine = { level: 'none', msg: line };
    if (line.startsWith('{')) {
      const { success, data } = LogLine.safeParse(JSON.parse(line));
      if (success) parsed = data;
    }
    this.#log.push(parsed);
    if (this.#log.length > LOG_LINES_MAX) this.#log.shift();
    return parsed;
  }

  #tail(): string {
    return this.#log
      .slice(-20)
      .map((line) => JSON.stringify(line))
      .join('\n');
  }
}

/** Nothing that was started outlives this process, however it ends short of SIGKILL. */
const started = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of started) child.kill('SIGKILL');
});
