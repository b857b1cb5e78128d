import { Worker } from 'node:worker_threads';

import { ParleyError } from '@parley/contracts';

import type { SqlOutcome, SqlStatement, WorkerAnswer, WorkerRequest } from './sqlite-worker.js';

/** A unique, not-null or check constraint refused a row. */
export class SqliteConstraintError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'SqliteConstraintError';
    this.code = code;
  }
}

type Done = Extract<SqlOutcome, { ok: true }>;

/** The store, not the statement, is at fault: locked, full, broken, gone. */
const UNAVAILABLE = /^SQLITE_(BUSY|LOCKED|FULL|IOERR|CANTOPEN|CORRUPT|NOTADB|READONLY|PROTOCOL|NOMEM)/;

/** The rows of an outcome, or the error that it stands for. */
export function succeeded(outcome: SqlOutcome): Done {
  if (outcome.ok) return outcome;
  if (outcome.code.startsWith('SQLITE_CONSTRAINT')) throw new SqliteConstraintError(outcome.code, outcome.message);
  if (UNAVAILABLE.test(outcome.code)) {
    throw new ParleyError('unavailable', `The directory's database: ${outcome.message} (${outcome.code})`);
  }
  throw new Error(`SQLite: ${outcome.message} (${outcome.code})`);
}

// The worker is loaded by Node itself: the source beside the source, the build beside the build.
const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './sqlite-worker.ts' : './sqlite-worker.js',
  import.meta.url,
);

interface Pending {
  readonly resolve: (outcomes: readonly SqlOutcome[]) => void;
  readonly reject: (error: Error) => void;
}

type RequestBody =
  | Omit<Extract<WorkerRequest, { kind: 'open' }>, 'id'>
  | Omit<Extract<WorkerRequest, { kind: 'run' }>, 'id'>
  | Omit<Extract<WorkerRequest, { kind: 'close' }>, 'id'>;

/** A worker thread with one SQLite connection; calls are answered in order. */
export class SqliteThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #lastId = 0;
  #gone: ParleyError | null = null;

  constructor() {
    this.#worker = new Worker(workerUrl);
    this.#worker.on('message', (answer: WorkerAnswer) => {
      const pending = this.#pending.get(answer.id);
      this.#pending.delete(answer.id);
      pending?.resolve(answer.outcomes);
    });
    this.#worker.on('error', (error) => this.#fail(error instanceof Error ? error.message : String(error)));
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#fail('its thread has ended');
        resolve();
      });
    });
  }

  /** Calls that have not been answered. */
  get pending(): number {
    return this.#pending.size;
  }

  async open(file: string, readonly: boolean): Promise<void> {
    for (const outcome of await this.#call({ kind: 'open', file, readonly })) succeeded(outcome);
  }

  run(statements: readonly SqlStatement[], together: boolean): Promise<readonly SqlOutcome[]> {
    return this.#call({ kind: 'run', together, statements });
  }

  async close(): Promise<void> {
    if (this.#gone === null) await this.#call({ kind: 'close' });
    await this.#exited;
  }

  #call(body: RequestBody): Promise<readonly SqlOutcome[]> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== null) {
        reject(this.#gone);
        return;
      }
      const id = ++this.#lastId;
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ ...body, id } satisfies WorkerRequest);
    });
  }

  #fail(reason: string): void {
    this.#gone ??= new ParleyError('unavailable', `The directory's database is gone: ${reason}`);
    for (const { reject } of this.#pending.values()) reject(this.#gone);
    this.#pending.clear();
  }
}
