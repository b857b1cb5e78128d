import type { Directory } from './directory.js';
import type { MysqlDirectoryConfig } from './mysql-config.js';
import { migrateMysqlDirectory, openMysqlDirectory, withMysqlMigrationLock } from './mysql.js';
import { openSqliteDirectory } from './sqlite.js';

export type * from './directory.js';
export type { MysqlDirectoryConfig, MysqlTls } from './mysql-config.js';

export type DirectoryConfig =
  | {
      readonly adapter: 'sqlite';
      /** The folder that holds the database; created when it is not there. */
      readonly directory: string;
    }
  | ({ readonly adapter: 'mysql' } & MysqlDirectoryConfig);

/** Opens the directory on the adapter that the configuration names. SQLite is migrated here, MySQL must have been. */
export async function openDirectory(config: DirectoryConfig): Promise<Directory> {
  switch (config.adapter) {
    case 'sqlite':
      return openSqliteDirectory(config.directory);
    case 'mysql':
      return openMysqlDirectory(config);
    default:
      return unknownAdapter(config);
  }
}

/** Brings the tables to what this version needs; does nothing when they are. */
export async function migrateDirectory(config: DirectoryConfig): Promise<void> {
  switch (config.adapter) {
    case 'sqlite':
      return (await openSqliteDirectory(config.directory)).close();
    case 'mysql':
      return migrateMysqlDirectory(config);
    default:
      return unknownAdapter(config);
  }
}

/**
 * Of several that run at once on one database, each `run` waits until the one before has ended, for at most 5 minutes.
 * For the migrations of all engines of an installation. SQLite has one process, and no lock.
 */
export async function withMigrationLock<T>(config: DirectoryConfig, run: () => Promise<T>): Promise<T> {
  switch (config.adapter) {
    case 'sqlite':
      return run();
    case 'mysql':
      return withMysqlMigrationLock(config, run);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { readonly adapter: unknown };
  throw new Error(`directory.adapter: unknown adapter '${String(adapter)}', one of: sqlite, mysql`);
}
