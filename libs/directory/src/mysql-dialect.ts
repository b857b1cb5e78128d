import {
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  type QueryResult,
  sql,
} from 'kysely';

import type { SqlDialect } from './dialect.js';
import type { MysqlConnection } from './mysql-connection.js';
import type { MysqlEngine } from './mysql-engine.js';
import { isIndexThere, isUniqueViolation } from './mysql-errors.js';

/** What MySQL 8 and MariaDB 10.6 both take. */
export const MYSQL: SqlDialect = {
  types: {
    id: sql`varchar(64) character set ascii collate ascii_bin`,
    ascii: sql`varchar(255) character set ascii collate ascii_bin`,
    // Bytes, not text: the collations that both have take 'a' and 'a ' for the same, and SQLite does not.
    key: sql`varbinary(1020)`,
    name: sql`varchar(255) character set utf8mb4 collate utf8mb4_bin`,
    text: sql`text character set utf8mb4 collate utf8mb4_bin`,
    time: sql`varchar(32) character set ascii collate ascii_bin`,
    integer: 'bigint',
  },
  clustered: sql`engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic`,
  rowLocks: true,
  // The column is ASCII as ids are: compared with another character set, it would not enter their index.
  listed: (values) =>
    sql<{
      value: string;
    }>`json_table(${JSON.stringify(values)}, '$[*]' columns (value varchar(64) character set ascii collate ascii_bin path '$'))`.as(
      'listed',
    ),
  // A list: MariaDB runs a subquery of an update or delete once for every row of the conversation, which took 9.6 s
  // for 1,000 of 10,000 members where the list takes 10 ms. Selects take as long with either.
  among: (values) => (values.length === 0 ? sql`(null)` : sql<string>`(${sql.join(values)})`),
  // Not `insert ignore`, which also cuts what is too long, and whose shared locks make registrations deadlock.
  ignoring: (insert, key) => insert.modifyEnd(sql`on duplicate key update ${sql.ref(key)} = ${sql.ref(key)}`),
  async ensureIndex(index) {
    try {
      await index.execute();
    } catch (error) {
      if (!isIndexThere(error)) throw error;
    }
  },
  isUniqueViolation,
};

/** Kysely over the engine. */
export class MysqlEngineDialect implements Dialect {
  readonly #engine: MysqlEngine;
  readonly #migrationLock: string;

  constructor(engine: MysqlEngine, migrationLock: string) {
    this.#engine = engine;
    this.#migrationLock = migrationLock;
  }

  createDriver(): Driver {
    return new EngineDriver(this.#engine);
  }

  createQueryCompiler(): MysqlQueryCompiler {
    return new MysqlQueryCompiler();
  }

  createAdapter(): MysqlAdapter {
    return new EngineAdapter(this.#migrationLock);
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new MysqlIntrospector(db);
  }
}

/** Kysely's own lock has one name for all databases of a server, and goes on without it when it has waited in vain. */
class EngineAdapter extends MysqlAdapter {
  readonly #lock: string;

  constructor(lock: string) {
    super();
    this.#lock = lock;
  }

  override async acquireMigrationLock(db: Kysely<unknown>): Promise<void> {
    await takeLock(db, this.#lock);
  }

  override async releaseMigrationLock(db: Kysely<unknown>): Promise<void> {
    await sql`select release_lock(${this.#lock})`.execute(db);
  }
}

const LOCK_WAIT_SECONDS = 300;

async function takeLock(db: Kysely<unknown>, lock: string): Promise<void> {
  const { rows } = await sql<{ taken: number | null }>`select get_lock(${lock}, ${LOCK_WAIT_SECONDS}) as taken`.execute(
    db,
  );
  if (rows[0]?.taken !== 1) throw new Error(`Another migration has had the lock for ${LOCK_WAIT_SECONDS} s`);
}

class EngineConnection implements DatabaseConnection {
  readonly engine: MysqlEngine;
  held: MysqlConnection;
  inTransaction = false;

  constructor(engine: MysqlEngine, held: MysqlConnection) {
    this.engine = engine;
    this.held = held;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, changes } = this.inTransaction
      ? await this.engine.run(this.held, query)
      : await this.engine.runAlone(this, query, query.query.kind === 'SelectQueryNode');
    return { rows: rows as R[], numAffectedRows: BigInt(changes) };
  }

  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('The directory reads pages; it does not stream');
  }
}

class EngineDriver implements Driver {
  readonly #engine: MysqlEngine;

  constructor(engine: MysqlEngine) {
    this.#engine = engine;
  }

  async init(): Promise<void> {
    // The engine connects when it is asked for the first time.
  }

  async acquireConnection(): Promise<EngineConnection> {
    return new EngineConnection(this.#engine, await this.#engine.acquire());
  }

  async beginTransaction(connection: EngineConnection): Promise<void> {
    // Nothing was done yet, so that it may be said twice like a read.
    await this.#engine.runAlone(connection, { sql: 'begin', parameters: [] }, true);
    connection.inTransaction = true;
  }

  async commitTransaction(connection: EngineConnection): Promise<void> {
    await this.#engine.run(connection.held, { sql: 'commit', parameters: [] });
    connection.inTransaction = false;
  }

  async rollbackTransaction(connection: EngineConnection): Promise<void> {
    connection.inTransaction = false;
    await this.#engine.rollback(connection.held);
  }

  async releaseConnection(connection: EngineConnection): Promise<void> {
    this.#engine.release(connection.held);
  }

  async destroy(): Promise<void> {
    await this.#engine.close();
  }
}
