import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { Kysely } from 'kysely';

import type { Store } from './dialect.js';
import type { Directory } from './directory.js';
import { migrate } from './migrations.js';
import type { Schema } from './schema.js';
import { SQLITE, SqliteEngineDialect } from './sqlite-dialect.js';
import { ENGINE_LIMITS, SqliteEngine, type EngineLimits } from './sqlite-engine.js';
import { storeDirectory } from './store-directory.js';

/** Opens, and where needed creates and migrates, `directory.db` in a folder. */
export async function openSqliteDirectory(folder: string, limits: EngineLimits = ENGINE_LIMITS): Promise<Directory> {
  await mkdir(folder, { recursive: true });
  const engine = await SqliteEngine.open(join(folder, 'directory.db'), limits);
  const db = new Kysely<Schema>({ dialect: new SqliteEngineDialect(engine) });
  const store: Store = { db, dialect: SQLITE, transaction: (run) => db.transaction().execute(run) };
  try {
    await migrate(store);
  } catch (error) {
    await engine.close();
    throw error;
  }
  // Not through Kysely: the engine refuses what comes after with `unavailable`.
  return storeDirectory(store, () => engine.close());
}
