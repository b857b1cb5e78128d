import { parentPort } from 'node:worker_threads';

import Database from 'better-sqlite3';

/**
 * One SQLite connection on a thread of its own, so that an fsync never stops the event loop.
 *
 * Node runs this file as it is, from TypeScript source too: only erasable syntax, and no imports but Node's own,
 * better-sqlite3 and types.
 */

export type SqlValue = string | number | bigint | null | Uint8Array;

export interface SqlStatement {
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
}

export type WorkerRequest =
  | { readonly id: number; readonly kind: 'open'; readonly file: string; readonly readonly: boolean }
  /** `together`: one commit for all of them, each with its own outcome. Otherwise as they come. */
  | {
      readonly id: number;
      readonly kind: 'run';
      readonly together: boolean;
      readonly statements: readonly SqlStatement[];
    }
  | { readonly id: number; readonly kind: 'close' };

export type SqlOutcome =
  | {
      readonly ok: true;
      readonly columns: readonly string[];
      readonly rows: readonly (readonly SqlValue[])[];
      readonly changes: number;
    }
  | { readonly ok: false; readonly code: string; readonly message: string };

export interface WorkerAnswer {
  readonly id: number;
  readonly outcomes: readonly SqlOutcome[];
}

/** Distinct statement texts kept prepared; the longest unused is dropped. The directory has about 80. */
const PREPARED_MAX = 256;
/** How long a statement waits for another process that has the file locked. */
const BUSY_TIMEOUT_MS = 5_000;

interface Prepared {
  readonly statement: Database.Statement<unknown[]>;
  readonly columns: readonly string[];
}

const OK: SqlOutcome = { ok: true, columns: [], rows: [], changes: 0 };
const prepared = new Map<string, Prepared>();
let connection: Database.Database | null = null;

function database(): Database.Database {
  if (connection === null) throw new Error('The database is not open');
  return connection;
}

function open(file: string, readonly: boolean): void {
  connection = new Database(file, { readonly, timeout: BUSY_TIMEOUT_MS });
  if (readonly) return;
  connection.pragma('journal_mode = WAL');
  connection.pragma('synchronous = FULL');
  // What is deleted is overwritten, not only unlinked.
  connection.pragma('secure_delete = ON');
}

function prepare(sql: string): Prepared {
  const known = prepared.get(sql);
  if (known !== undefined) {
    prepared.delete(sql);
    prepared.set(sql, known);
    return known;
  }
  const statement = database().prepare<unknown[]>(sql);
  const made: Prepared = statement.reader
    ? { statement: statement.raw(), columns: statement.columns().map((column) => column.name) }
    : { statement, columns: [] };
  prepared.set(sql, made);
  if (prepared.size > PREPARED_MAX) {
    const oldest = prepared.keys().next();
    if (oldest.done !== true) prepared.delete(oldest.value);
  }
  return made;
}

function failure(error: unknown): SqlOutcome {
  if (error instanceof Database.SqliteError) return { ok: false, code: error.code, message: error.message };
  return { ok: false, code: 'WORKER', message: error instanceof Error ? error.message : String(error) };
}

function run({ sql, parameters }: SqlStatement): SqlOutcome {
  try {
    const { statement, columns } = prepare(sql);
    if (statement.reader) {
      // `raw()` rows are arrays: less to copy between threads than objects that each repeat the column names.
      return { ok: true, columns, rows: statement.all(...parameters) as SqlValue[][], changes: 0 };
    }
    return { ok: true, columns, rows: [], changes: statement.run(...parameters).changes };
  } catch (error) {
    return failure(error);
  }
}

/** A failed statement takes nothing of the others with it, unless SQLite gave up the whole transaction (disk full, I/O). */
function runTogether(statements: readonly SqlStatement[]): readonly SqlOutcome[] {
  const [only] = statements;
  if (only !== undefined && statements.length === 1) return [run(only)];
  const begun = run({ sql: 'begin immediate', parameters: [] });
  if (!begun.ok) return statements.map(() => begun);
  const outcomes: SqlOutcome[] = [];
  for (const statement of statements) {
    const outcome = run(statement);
    if (!database().inTransaction) return statements.map(() => outcome);
    outcomes.push(outcome);
  }
  const committed = run({ sql: 'commit', parameters: [] });
  if (committed.ok) return outcomes;
  if (database().inTransaction) run({ sql: 'rollback', parameters: [] });
  return statements.map(() => committed);
}

function answer(request: WorkerRequest): readonly SqlOutcome[] {
  try {
    switch (request.kind) {
      case 'open':
        open(request.file, request.readonly);
        return [OK];
      case 'run':
        return request.together ? runTogether(request.statements) : request.statements.map(run);
      case 'close':
        prepared.clear();
        connection?.close();
        connection = null;
        return [OK];
    }
  } catch (error) {
    return [failure(error)];
  }
}

if (parentPort === null) throw new Error('sqlite-worker runs as a worker thread only');
const port = parentPort;
port.on('message', (request: WorkerRequest) => {
  const answered: WorkerAnswer = { id: request.id, outcomes: answer(request) };
  port.postMessage(answered);
  if (request.kind === 'close') port.close();
});
