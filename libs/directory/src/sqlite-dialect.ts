import {
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
  sql,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';

import type { SqlDialect } from './dialect.js';
import type { SqliteEngine } from './sqlite-engine.js';
import { SqliteConstraintError } from './sqlite-thread.js';
import type { SqlStatement, SqlValue } from './sqlite-worker.js';

export const SQLITE: SqlDialect = {
  types: { id: 'text', ascii: 'text', key: 'text', name: 'text', text: 'text', time: 'text', integer: 'integer' },
  clustered: sql`without rowid`,
  rowLocks: false,
  listed: (values) => sql<{ value: string }>`json_each(${JSON.stringify(values)})`.as('listed'),
  among: (values) => sql<string>`(select value from json_each(${JSON.stringify(values)}))`,
  ignoring: (insert) => insert.orIgnore(),
  ensureIndex: (index) => index.ifNotExists().execute(),
  isUniqueViolation: (error) => error instanceof SqliteConstraintError && /_(UNIQUE|PRIMARYKEY)$/.test(error.code),
};

/** Kysely over the engine: whatever is not in a transaction commits by itself, in a group; selects go to the reader. */
export class SqliteEngineDialect implements Dialect {
  readonly #engine: SqliteEngine;

  constructor(engine: SqliteEngine) {
    this.#engine = engine;
  }

  createDriver(): Driver {
    return new EngineDriver(this.#engine);
  }

  createQueryCompiler(): SqliteQueryCompiler {
    return new SqliteQueryCompiler();
  }

  createAdapter(): SqliteAdapter {
    return new EngineAdapter();
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(db);
  }
}

class EngineAdapter extends SqliteAdapter {
  /** The engine decides who waits for whom; Kysely's own mutex would keep statements from sharing a commit. */
  override get supportsMultipleConnections(): boolean {
    return true;
  }

  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class EngineConnection implements DatabaseConnection {
  readonly engine: SqliteEngine;
  inTransaction = false;

  constructor(engine: SqliteEngine) {
    this.engine = engine;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const statement: SqlStatement = { sql: query.sql, parameters: query.parameters as readonly SqlValue[] };
    const { columns, rows, changes } = this.inTransaction
      ? await this.engine.run(statement)
      : query.query.kind === 'SelectQueryNode'
        ? await this.engine.read(statement)
        : await this.engine.write(statement);
    return { rows: rows.map((row) => toObject(columns, row) as R), numAffectedRows: BigInt(changes) };
  }

  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('The directory reads pages; it does not stream');
  }
}

function toObject(columns: readonly string[], row: readonly SqlValue[]): Record<string, SqlValue> {
  const object: Record<string, SqlValue> = {};
  for (let at = 0; at < columns.length; at += 1) object[columns[at] ?? ''] = row[at] ?? null;
  return object;
}

class EngineDriver implements Driver {
  readonly #engine: SqliteEngine;

  constructor(engine: SqliteEngine) {
    this.#engine = engine;
  }

  async init(): Promise<void> {
    // The engine is open before Kysely knows of it.
  }

  async acquireConnection(): Promise<EngineConnection> {
    return new EngineConnection(this.#engine);
  }

  async beginTransaction(connection: EngineConnection): Promise<void> {
    await this.#engine.begin();
    connection.inTransaction = true;
  }

  async commitTransaction(connection: EngineConnection): Promise<void> {
    connection.inTransaction = false;
    await this.#engine.end('commit');
  }

  async rollbackTransaction(connection: EngineConnection): Promise<void> {
    // After a commit that failed there is nothing left to roll back, and the connection may be someone else's.
    if (!connection.inTransaction) return;
    connection.inTransaction = false;
    await this.#engine.end('rollback');
  }

  async releaseConnection(): Promise<void> {
    // A connection is only a view of the engine.
  }

  async destroy(): Promise<void> {
    await this.#engine.close();
  }
}
