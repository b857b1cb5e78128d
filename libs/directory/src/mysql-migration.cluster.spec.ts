import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { migrateDirectory, openDirectory, withMigrationLock } from './index.js';
import { type TestDatabase, testDatabase } from './mysql-fixture.js';
import { mysqlTarget } from './mysql-config.js';
import { lockName } from './mysql.js';

describe('the migration of a MySQL database', () => {
  let database: TestDatabase;
  let name: string;
  beforeEach(async () => {
    database = await testDatabase();
    name = mysqlTarget(database.config).database;
  });
  afterEach(() => database.drop());
  const indexesOf = async (table: string): Promise<ReadonlySet<unknown>> =>
    new Set((await database.ask(`show index from ${name}.${table}`)).rows.map((row) => row['Key_name']));

  it('is what opening a database without one asks for', async () => {
    await expect(openDirectory(database.config)).rejects.toThrow(/lacks the migration 001-accounts: run the migration/);
    await database.ask(`create database ${name}`);
    await expect(openDirectory(database.config)).rejects.toThrow(/run the migration/);
    await migrateDirectory(database.config);
    await database.ask(`delete from ${name}.kysely_migration where name = '002-conversations'`);
    await expect(openDirectory(database.config)).rejects.toThrow(/lacks the migration 002-conversations/);
  });

  it('is done once by several at once, and a second time does nothing', async () => {
    await Promise.all([1, 2, 3].map(() => migrateDirectory(database.config)));
    await migrateDirectory(database.config);
    const { rows } = await database.ask(`select name from ${name}.kysely_migration order by name`);
    expect(rows.map((row) => row['name'])).toEqual(['001-accounts', '002-conversations']);
    await (await openDirectory(database.config)).close();
  });

  it('goes on where it had stopped in the middle', async () => {
    await migrateDirectory(database.config);
    await database.ask(`insert into ${name}.secrets values ('kept', 'value')`);
    const indexes = await indexesOf('members');
    await database.ask(`delete from ${name}.kysely_migration`);
    await database.ask(`drop table ${name}.former_members`);
    await database.ask(`drop index members_by_joining on ${name}.members`);
    await migrateDirectory(database.config);
    expect(await indexesOf('members')).toEqual(indexes);
    expect((await indexesOf('former_members')).size).toBe(1);
    const directory = await openDirectory(database.config);
    expect(await directory.secret('kept', () => 'another')).toBe('value');
    await directory.close();
  });

  it('leaves a database alone that is newer', async () => {
    await migrateDirectory(database.config);
    await database.ask(`insert into ${name}.kysely_migration values ('999-later', '2027')`);
    await migrateDirectory(database.config);
    await (await openDirectory(database.config)).close();
  });

  it('is run by one at a time under the lock, and by the next when the one before failed', async () => {
    let inside = 0;
    let most = 0;
    const outcomes = await Promise.allSettled(
      [1, 2, 3].map((n) =>
        withMigrationLock(database.config, async () => {
          inside += 1;
          most = Math.max(most, inside);
          await migrateDirectory(database.config);
          inside -= 1;
          if (n === 2) throw new Error('Kafka is away');
          return n;
        }),
      ),
    );
    expect(most).toBe(1);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('is not taken for done when its lock was lost', async () => {
    const migrating = withMigrationLock(database.config, async () => {
      const lock = lockName('parley-migrations', mysqlTarget(database.config));
      const [holder] = (await database.ask(`select is_used_lock('${lock}') as id`)).rows;
      await database.ask(`kill ${String(holder?.['id'])}`);
    });
    await expect(migrating).rejects.toThrow();
  });
});
