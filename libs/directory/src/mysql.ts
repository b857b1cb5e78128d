import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';

import { isUnavailable } from '@parley/contracts';
import { Kysely, sql } from 'kysely';

import type { Store } from './dialect.js';
import type { Directory } from './directory.js';
import { migrate, missingMigrations } from './migrations.js';
import { type MysqlDirectoryConfig, mysqlTarget, type MysqlTarget } from './mysql-config.js';
import { MysqlConnection } from './mysql-connection.js';
import { MYSQL, MysqlEngineDialect } from './mysql-dialect.js';
import { MysqlEngine, type MysqlLimits } from './mysql-engine.js';
import { isDatabaseMissing, isRefused, isTableMissing } from './mysql-errors.js';
import type { Schema } from './schema.js';
import { storeDirectory } from './store-directory.js';

const CONNECT_MS = 2_000;
const WAIT_MS = 2_000;
const IDLE_MS = 60_000;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 2_000;

/**
 * READ COMMITTED: whoever waited for a row must then see what the other wrote (a refresh token used twice, an entry
 * applied already), which the snapshot of REPEATABLE READ hides, and there are no gap locks for inserts to deadlock on.
 * `sql_mode` is set because text too long must be refused, and because mysql2 escapes with backslashes.
 */
const SETUP = [
  'set session transaction isolation level read committed',
  // Lock waits in whole seconds, and MySQL looks once a second: up to 2 s. The version comments are for one of the two
  // each: the server gives up what takes longer than anyone waits for.
  `set session sql_mode = 'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION',
     innodb_lock_wait_timeout = 1, lock_wait_timeout = 2
     /*!80000 , max_execution_time = 2000 */ /*M!100101 , max_statement_time = 2 */`,
];

/** A change of a table of millions of rows; while it waits for those who use the table, nobody else gets to it. */
const MIGRATION_STATEMENT_MS = 30 * 60_000;
const MIGRATION_SETUP = [
  ...SETUP.slice(0, 1),
  `set session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', lock_wait_timeout = 10, wait_timeout = 28800
     /*!80000 , max_execution_time = 0 */ /*M!100101 , max_statement_time = 0 */`,
];
export const MIGRATION_LOCK_WAIT_SECONDS = 300;

/** Opens the directory of a database that has been migrated. */
export async function openMysqlDirectory(config: MysqlDirectoryConfig): Promise<Directory> {
  const { store, close } = await openMysqlStore(config);
  return storeDirectory(store, close);
}

export async function openMysqlStore(
  config: MysqlDirectoryConfig,
): Promise<{ readonly store: Store; readonly close: () => Promise<void> }> {
  const target = mysqlTarget(config);
  const engine = new MysqlEngine(target, {
    connections: config.connections ?? 16,
    maxWaiting: config.maxWaiting ?? 1_000,
    waitMs: WAIT_MS,
    idleMs: IDLE_MS,
    connectMs: CONNECT_MS,
    statementMs: config.queryTimeoutMs ?? 2_500,
    retryReads: true,
    setup: SETUP,
  });
  const store = storeOn(engine, target);
  try {
    const applied = await reaching(target, config, () => appliedMigrations(store.db));
    const [missing] = missingMigrations(MYSQL, applied);
    if (missing !== undefined) {
      throw new Error(`The directory at ${target.address} lacks the migration ${missing}: run the migration first`);
    }
  } catch (error) {
    await engine.close();
    throw error;
  }
  // Not through Kysely: the engine refuses what comes after with `unavailable`.
  return { store, close: () => engine.close() };
}

/** Makes the database where it is not there, and brings its tables to what this version needs. */
export async function migrateMysqlDirectory(config: MysqlDirectoryConfig): Promise<void> {
  const target = mysqlTarget(config);
  await reaching(target, config, () => ensureDatabase(target));
  const limits: MysqlLimits = {
    connections: 1,
    maxWaiting: 1,
    waitMs: CONNECT_MS,
    idleMs: IDLE_MS,
    connectMs: CONNECT_MS,
    statementMs: MIGRATION_STATEMENT_MS,
    retryReads: false,
    setup: MIGRATION_SETUP,
  };
  const engine = new MysqlEngine(target, limits);
  try {
    const store = storeOn(engine, target);
    // Kysely refuses a database with migrations that it does not know, which an older version, put back, would find.
    if (missingMigrations(MYSQL, await appliedMigrations(store.db)).length > 0) await migrate(store);
  } finally {
    await engine.close();
  }
}

/** Runs `run` while holding a lock of the server that nobody else's `run` holds meanwhile; waits for it for 5 minutes. */
export async function withMysqlMigrationLock<T>(config: MysqlDirectoryConfig, run: () => Promise<T>): Promise<T> {
  // Without the database: it may not be there yet.
  const target = mysqlTarget(config);
  const connection = await reaching(target, config, () =>
    MysqlConnection.open({ ...target, database: '' }, MIGRATION_SETUP, CONNECT_MS),
  );
  const lock = lockName('parley-migrations', target);
  const ask = async (question: string, deadlineMs: number): Promise<unknown> =>
    (await connection.run({ sql: `select ${question} as answer`, parameters: [lock] }, deadlineMs)).rows[0]?.['answer'];
  try {
    const taken = await ask(`get_lock(?, ${MIGRATION_LOCK_WAIT_SECONDS})`, (MIGRATION_LOCK_WAIT_SECONDS + 10) * 1_000);
    if (taken !== 1) {
      throw new Error(`Another migration of ${target.address} has gone on for ${MIGRATION_LOCK_WAIT_SECONDS} s`);
    }
    const result = await run();
    // The lock is the connection's: if that was lost meanwhile, another migration may have run beside this one.
    if ((await ask('is_used_lock(?) = connection_id()', CONNECT_MS)) !== 1) {
      throw new Error(`The migration lock of ${target.address} was lost while migrating: run the migration again`);
    }
    return result;
  } finally {
    await connection.quit();
  }
}

function storeOn(engine: MysqlEngine, target: MysqlTarget): Store {
  const db = new Kysely<Schema>({ dialect: new MysqlEngineDialect(engine, lockName('parley-directory', target)) });
  return {
    db,
    dialect: MYSQL,
    transaction: (run) => engine.persisting(() => db.transaction().execute(run)),
  };
}

/** Locks are the server's, not the database's, and their names have at most 64 characters. */
export function lockName(what: 'parley-directory' | 'parley-migrations', { database }: MysqlTarget): string {
  return `${what}-${createHash('sha256').update(database).digest('hex').slice(0, 16)}`;
}

async function appliedMigrations(db: Kysely<Schema>): Promise<readonly string[]> {
  try {
    const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(db);
    return rows.map((row) => row.name);
  } catch (error) {
    if (isTableMissing(error) || isDatabaseMissing(error)) return [];
    throw error;
  }
}

async function ensureDatabase(target: MysqlTarget): Promise<void> {
  try {
    await (await MysqlConnection.open(target, [], CONNECT_MS)).quit();
  } catch (error) {
    if (!isDatabaseMissing(error)) throw error;
    const name = target.database.replaceAll('`', '``');
    const create = `create database if not exists \`${name}\` character set utf8mb4 collate utf8mb4_bin`;
    await (await MysqlConnection.open({ ...target, database: '' }, [create], CONNECT_MS)).quit();
  }
}

/** Tries until the server is there, for as long as the configuration says. */
async function reaching<T>(
  target: MysqlTarget,
  { connectTimeoutMs = 30_000 }: MysqlDirectoryConfig,
  attempt: () => Promise<T>,
): Promise<T> {
  const endsAt = performance.now() + connectTimeoutMs;
  for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MAX_MS)) {
    try {
      return await attempt();
    } catch (error) {
      const away = isUnavailable(error) && !isRefused(error);
      if (!away) throw isRefused(error) ? new Error(reasonOf(error), { cause: error }) : error;
      if (performance.now() + delayMs >= endsAt) {
        throw new Error(`MySQL at ${target.address} cannot be reached: ${reasonOf(error)}`, { cause: error });
      }
      await wait(delayMs);
    }
  }
}

/** What the server or the network said, where there is more to it than clients are told. */
function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  return cause instanceof Error ? cause.message : message;
}
