import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Kysely, sql } from 'kysely';

import { SqliteEngineDialect } from './sqlite-dialect.js';
import { SqliteEngine } from './sqlite-engine.js';

interface Tables {
  parents: { id: number };
  children: { parent_id: number };
}

describe('Kysely on the SQLite engine', () => {
  let folder: string;
  let db: Kysely<Tables>;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-dialect-'));
    const engine = await SqliteEngine.open(join(folder, 'a.db'));
    db = new Kysely<Tables>({ dialect: new SqliteEngineDialect(engine) });
    await db.schema
      .createTable('parents')
      .addColumn('id', 'integer', (c) => c.primaryKey())
      .execute();
    await db.schema
      .createTable('children')
      .addColumn('parent_id', 'integer', (c) =>
        c.references('parents.id').modifyEnd(sql`deferrable initially deferred`),
      )
      .execute();
  });
  afterAll(async () => {
    await db.destroy();
    await rm(folder, { recursive: true });
  });

  it('leaves the next transaction alone when a commit fails', async () => {
    // The reference is checked at the commit only.
    const failing = db.transaction().execute((tx) => tx.insertInto('children').values({ parent_id: 404 }).execute());
    const next = db.transaction().execute(async (tx) => {
      for (let id = 1; id <= 20; id += 1) await tx.insertInto('parents').values({ id }).execute();
    });
    await expect(failing).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT_FOREIGNKEY' });
    await next;
    expect(await db.selectFrom('parents').select('id').execute()).toHaveLength(20);
    expect(await db.selectFrom('children').selectAll().execute()).toEqual([]);
  });

  it('takes back what a transaction did when its function throws', async () => {
    const thrown = db.transaction().execute(async (tx) => {
      await tx.insertInto('parents').values({ id: 99 }).execute();
      throw new Error('changed my mind');
    });
    await expect(thrown).rejects.toThrow('changed my mind');
    expect(await db.selectFrom('parents').select('id').where('id', '=', 99).execute()).toEqual([]);
  });

  it('says how many rows a statement has changed', async () => {
    await db
      .insertInto('parents')
      .values([{ id: 201 }, { id: 202 }])
      .execute();
    const { numDeletedRows } = await db.deleteFrom('parents').where('id', '>', 200).executeTakeFirstOrThrow();
    expect(numDeletedRows).toBe(2n);
  });
});
