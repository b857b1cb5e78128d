import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** As a service runs on its own: exit code of settings that it cannot start with. */
const EXIT_CONFIG = 78;
const RESTART_FIRST_MS = 250;
const RESTART_MAX_MS = 5_000;
/** After this long without dying the next death is a first one again. */
const STEADY_MS = 10_000;

export interface ServiceProcessOptions {
  /** `chat-1`: what it is called here. */
  readonly name: string;
  /** The built program. */
  readonly entry: string;
  readonly nodeFlags: readonly string[];
  /** Cores that it is pinned to, as `taskset` lists them. */
  readonly cores?: string;
  readonly env: Readonly<Record<string, string>>;
  /** Every line that it says, parsed where it is JSON. */
  readonly onLine: (name: string, line: LogLine | string) => void;
}

/** What a service says to whoever has started it, once it takes traffic. */
export interface Ready {
  readonly ready: true;
  readonly internalPort: number;
}

const isReady = (message: unknown): message is Ready =>
  typeof message === 'object' && message !== null && 'ready' in message && 'internalPort' in message;

export interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** One service in a process of its own, which is started again when it dies. */
export class ServiceProcess {
  readonly #options: ServiceProcessOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #wanted = false;
  #restarts = 0;
  #delayMs = RESTART_FIRST_MS;
  #timer: NodeJS.Timeout | undefined;
  #ready = Promise.withResolvers<Ready>();
  #isReady = false;

  constructor(options: ServiceProcessOptions) {
    this.#options = options;
    this.#ready.promise.catch(() => undefined);
  }

  get name(): string {
    return this.#options.name;
  }

  get pid(): number | undefined {
    return this.running ? this.#child?.pid : undefined;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** How often it died and was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Resolves when the process that runs now, or the next one, takes traffic. */
  get ready(): Promise<Ready> {
    return this.#ready.promise;
  }

  start(): Promise<Ready> {
    this.#wanted = true;
    this.#spawn();
    return this.#ready.promise;
  }

  /** Dies as a crash does; it is started again. Resolves when it is ready again. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
    await this.ready;
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Drains and ends for good, by SIGKILL if it has not after `graceMs`. */
  async stop(graceMs = 60_000): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#timer);
    if (!this.running) return;
    const late = setTimeout(() => this.#child?.kill('SIGKILL'), graceMs);
    await this.#end('SIGTERM');
    clearTimeout(late);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const exited = this.#exited;
    this.#child?.kill(signal);
    await exited;
  }

  #spawn(): void {
    const { entry, nodeFlags, cores, env, name, onLine } = this.#options;
    if (this.#isReady) this.#renewReady();
    const command = [process.execPath, ...nodeFlags, entry];
    const [program = '', ...args] = cores === undefined ? command : ['taskset', '-c', cores, ...command];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, ...env } });
    const startedMs = performance.now();
    this.#child = child;
    stopWithThisProcess.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (text) => {
        onLine(name, parseLine(text));
      });
    }
    child.on('message', (message) => {
      if (!isReady(message)) return;
      this.#isReady = true;
      this.#ready.resolve(message);
    });
    this.#exited = new Promise((resolve) => {
      const ended = (code: number | null): void => {
        stopWithThisProcess.delete(child);
        if (this.#isReady) this.#renewReady();
        this.#died(code, performance.now() - startedMs);
        resolve();
      };
      child.once('error', () => ended(null));
      child.once('exit', ended);
    });
  }

  #died(code: number | null, afterMs: number): void {
    const { name, onLine } = this.#options;
    if (!this.#wanted) return;
    if (code === EXIT_CONFIG) {
      this.#wanted = false;
      // Starting it again is of no use.
      this.#ready.reject(new Error(`${name}: its configuration is not valid`));
      return;
    }
    if (afterMs > STEADY_MS) this.#delayMs = RESTART_FIRST_MS;
    onLine(
      name,
      `died (${code === null ? 'by a signal' : `exit code ${code}`}); starting again in ${this.#delayMs} ms`,
    );
    this.#restarts += 1;
    this.#timer = setTimeout(() => this.#spawn(), this.#delayMs);
    this.#delayMs = Math.min(RESTART_MAX_MS, this.#delayMs * 2);
  }

  #renewReady(): void {
    this.#isReady = false;
    this.#ready = Promise.withResolvers<Ready>();
    this.#ready.promise.catch(() => undefined);
  }
}

export function parseLine(text: string): LogLine | string {
  if (!text.startsWith('{')) return text;
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line === 'object' && line !== null && 'msg' in line && 'level' in line) return line as LogLine;
  } catch {
    return text;
  }
  return text;
}

/** Nothing that was started outlives this process, however it ends short of SIGKILL. */
const stopWithThisProcess = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of stopWithThisProcess) child.kill('SIGKILL');
});
