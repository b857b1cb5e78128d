import { Worker } from 'node:worker_threads';

import { ParleyError } from '@parley/contracts';

import type { Call, CallResult, FromWorker, ToWorker } from './sqlite-calls.js';

export interface LaneOptions {
  /** Path of the worker program beside this file, without its extension; or a whole URL. */
  readonly program: string | URL;
  readonly workerData: unknown;
  /** What callers are told is unavailable. */
  readonly name: string;
  /** Calls that may wait; beyond, they are refused with `overloaded`. */
  readonly queueMaxCalls: number;
  /** Sum of the weights of the calls that may wait, in bytes; beyond, they are refused with `overloaded`. */
  readonly queueMaxBytes: number;
  /** A batch ends with the call that reaches this weight. */
  readonly batchMaxBytes: number;
  /** A worker that died is started anew by the first call after this time. */
  readonly restartAfterMs: number;
  readonly nowMs: () => number;
}

type Method = (...args: never[]) => unknown;

interface Waiting {
  readonly call: Call;
  readonly weight: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ParleyError) => void;
}

type State = 'starting' | 'idle' | 'busy' | 'dead';

/**
 * Source runs (tests) start the worker from TypeScript: Node strips its types, but does not look for `./x.ts` where
 * `./x.js` is imported, so a hook does. A build has `.js` files and needs none of it.
 */
const fromSource = import.meta.url.endsWith('.ts');
const resolveTypeScript = `import { registerHooks } from 'node:module';
registerHooks({ resolve: (name, context, next) =>
  next(name.startsWith('./') && context.parentURL?.endsWith('.ts') ? name.replace(/\\.js$/, '.ts') : name, context) });`;
export const SOURCE_ARGV: readonly string[] = fromSource
  ? ['--import', `data:text/javascript,${encodeURIComponent(resolveTypeScript)}`]
  : [];

/**
 * Calls to one worker thread. One batch is with the worker at a time; whatever is called meanwhile waits and leaves in
 * the next one, so batches grow with load by themselves and a lone call waits for nothing.
 *
 * A worker that dies fails the calls it had and those that waited with `unavailable`, and is started anew.
 */
export class WorkerLane<Calls extends { [M in keyof Calls]: Method }> {
  readonly #options: LaneOptions;
  #state: State = 'starting';
  #worker: Worker | null = null;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #flying: readonly Waiting[] = [];
  #flushScheduled = false;
  #diedAtMs = 0;
  #diedOf = '';
  #closing: Promise<void> | null = null;
  #settled: (() => void) | null = null;
  #started: { readonly resolve: () => void; readonly reject: (error: ParleyError) => void } | null = null;

  private constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Resolves when the worker serves; rejects with `unavailable` when it cannot. */
  static async open<Calls extends { [M in keyof Calls]: Method }>(options: LaneOptions): Promise<WorkerLane<Calls>> {
    const lane = new WorkerLane<Calls>(options);
    await new Promise<void>((resolve, reject) => {
      lane.#started = { resolve, reject };
      lane.#start();
    });
    return lane;
  }

  /** `weight`: about how many bytes the arguments have, where they can be large. */
  call<M extends keyof Calls & string>(
    method: M,
    args: Parameters<Calls[M]>,
    weight = 0,
  ): Promise<ReturnType<Calls[M]>> {
    if (this.#closing !== null) return Promise.reject(this.#unavailable('closed'));
    if (this.#state === 'dead') {
      if (this.#options.nowMs() - this.#diedAtMs < this.#options.restartAfterMs) {
        return Promise.reject(this.#unavailable(this.#diedOf));
      }
      this.#start();
    }
    const { queueMaxCalls, queueMaxBytes } = this.#options;
    if (
      this.#waiting.length >= queueMaxCalls ||
      (this.#waiting.length > 0 && this.#waitingBytes + weight > queueMaxBytes)
    ) {
      return Promise.reject(new ParleyError('overloaded', `The ${this.#options.name} has too much waiting`));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call: [method, args], weight, resolve: resolve as (value: unknown) => void, reject });
      this.#waitingBytes += weight;
      this.#scheduleFlush();
    });
  }

  /** Refuses new calls, lets those that wait finish, and ends the worker. */
  close(): Promise<void> {
    return (this.#closing ??= this.#finish());
  }

  async #finish(): Promise<void> {
    while (this.#state === 'starting' || this.#waiting.length > 0 || this.#flying.length > 0) {
      await new Promise<void>((resolve) => {
        this.#settled = resolve;
      });
    }
    const worker = this.#worker;
    this.#worker = null;
    if (worker === null) return;
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.postMessage({ kind: 'close' } satisfies ToWorker);
    await exited;
  }

  #start(): void {
    this.#state = 'starting';
    const { program, workerData, name } = this.#options;
    const url = program instanceof URL ? program : new URL(`${program}${fromSource ? '.ts' : '.js'}`, import.meta.url);
    // The process's own flags are not the worker's: some are refused in threads.
    const worker = new Worker(url, { workerData, name, execArgv: [...SOURCE_ARGV] });
    this.#worker = worker;
    worker.on('message', (message: FromWorker) => {
      if (worker === this.#worker) this.#receive(message);
    });
    worker.on('error', (error) => this.#die(worker, error instanceof Error ? error.message : String(error)));
    worker.on('exit', (code) => this.#die(worker, `its worker ended with code ${code}`));
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case 'ready':
        this.#state = 'idle';
        this.#started?.resolve();
        this.#started = null;
        break;
      case 'failed':
        if (this.#worker !== null) this.#die(this.#worker, message.message);
        return;
      case 'results': {
        this.#state = 'idle';
        const flying = this.#flying;
        this.#flying = [];
        flying.forEach((waiting, index) => this.#settle(waiting, message.results[index]));
        break;
      }
    }
    this.#flush();
    this.#tellSettled();
  }

  #settle(waiting: Waiting, result: CallResult | undefined): void {
    if (result?.ok === true) waiting.resolve(result.value);
    else waiting.reject(this.#unavailable(result?.message ?? 'its worker did not answer'));
  }

  #die(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#worker = null;
    this.#state = 'dead';
    this.#diedAtMs = this.#options.nowMs();
    this.#diedOf = reason;
    void worker.terminate();
    const lost = [...this.#flying, ...this.#waiting];
    this.#flying = [];
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const waiting of lost) waiting.reject(this.#unavailable(reason));
    this.#started?.reject(this.#unavailable(reason));
    this.#started = null;
    this.#tellSettled();
  }

  /** At the end of the turn's microtasks, so that calls made together leave together. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#state !== 'idle' || this.#worker === null || this.#waiting.length === 0) return;
    let count = 0;
    let bytes = 0;
    for (const waiting of this.#waiting) {
      count += 1;
      bytes += waiting.weight;
      if (bytes >= this.#options.batchMaxBytes) break;
    }
    this.#flying = this.#waiting.slice(0, count);
    this.#waiting = count === this.#waiting.length ? [] : this.#waiting.slice(count);
    this.#waitingBytes -= bytes;
    this.#state = 'busy';
    this.#worker.postMessage({ kind: 'calls', calls: this.#flying.map((each) => each.call) } satisfies ToWorker);
  }

  #tellSettled(): void {
    this.#settled?.();
    this.#settled = null;
  }

  #unavailable(reason: string): ParleyError {
    return new ParleyError('unavailable', `The ${this.#options.name} is not available: ${reason}`);
  }
}
