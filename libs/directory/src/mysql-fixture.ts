import { randomUUID } from 'node:crypto';

import type { MysqlDirectoryConfig } from './mysql-config.js';
import { mysqlTarget } from './mysql-config.js';
import { MysqlConnection, type MysqlResult } from './mysql-connection.js';

/** A database of a test's own, on the server that the environment names. */
export interface TestDatabase {
  readonly config: MysqlDirectoryConfig & { readonly adapter: 'mysql' };
  /** Runs a statement beside the directory. */
  ask(sql: string): Promise<MysqlResult>;
  drop(): Promise<void>;
}

export async function testDatabase(): Promise<TestDatabase> {
  const from = process.env['PARLEY_MYSQL_URL'];
  if (from === undefined || from === '') {
    throw new Error('PARLEY_MYSQL_URL is not set: start the engines and read their environment first');
  }
  const url = new URL(from);
  url.pathname = `/parley_test_${randomUUID().slice(0, 8)}`;
  const config = { adapter: 'mysql' as const, url: url.href, connectTimeoutMs: 5_000 };
  const target = mysqlTarget(config);
  const root = await MysqlConnection.open({ ...target, database: '' }, [], 5_000);
  const ask = (sql: string): Promise<MysqlResult> => root.run({ sql, parameters: [] }, 30_000);
  return {
    config,
    ask,
    async drop() {
      await ask(`drop database if exists ${target.database}`);
      await root.quit();
    },
  };
}
