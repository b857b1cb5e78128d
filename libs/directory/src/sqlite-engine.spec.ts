import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { ENGINE_LIMITS, SqliteEngine } from './sqlite-engine.js';

const statement = (sql: string, ...parameters: (string | number)[]) => ({ sql, parameters });

describe('the SQLite engine', () => {
  let folder: string;
  let engine: SqliteEngine;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-engine-'));
    engine = await SqliteEngine.open(join(folder, 'a.db'));
    await engine.write(statement('create table t (n integer primary key, v text not null)'));
  });
  afterAll(async () => {
    await engine.close();
    await rm(folder, { recursive: true });
  });
  const count = async (where: string): Promise<unknown> =>
    (await engine.read(statement(`select count(*) from t where ${where}`))).rows[0]?.[0];

  it('writes ahead, syncs every commit and overwrites what is deleted', async () => {
    const setting = async (name: string) => (await engine.run(statement(`pragma ${name}`))).rows[0]?.[0];
    expect(await setting('journal_mode')).toBe('wal');
    expect(await setting('synchronous')).toBe(2);
    expect(await setting('secure_delete')).toBe(1);
  });

  it('commits statements that wait together at once, however many transactions wait too', async () => {
    await engine.begin();
    const waiting = [
      engine.write(statement('insert into t values (?, ?)', 400, 'together')),
      engine.begin(),
      engine.write(statement('insert into t values (?, ?)', 401, 'together')),
    ];
    await engine.end('rollback');
    await waiting[1];
    expect(await count(`v = 'together'`)).toBe(2);
    await engine.end('rollback');
    await Promise.all(waiting);
  });

  it('refuses statements and transactions beyond its bound at once', async () => {
    const small = await SqliteEngine.open(join(folder, 'b.db'), { ...ENGINE_LIMITS, maxWaiting: 2, maxReads: 1 });
    await small.begin();
    const waiting = [small.begin(), small.write(statement('create table t (n)'))];
    await expect(small.begin()).rejects.toMatchObject({ code: 'overloaded' });
    await expect(small.write(statement('select 1'))).rejects.toMatchObject({ code: 'overloaded' });
    await small.end('rollback');
    await waiting[0];
    await small.end('rollback');
    await Promise.all(waiting);
    const reads = await Promise.allSettled([1, 2].map(() => small.read(statement('select 1'))));
    expect(reads.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await small.close();
    await expect(small.read(statement('select 1'))).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('ends what was begun before it closes', async () => {
    const file = join(folder, 'c.db');
    const first = await SqliteEngine.open(file);
    await first.write(statement('create table t (n)'));
    await first.begin();
    const refused = first.write(statement('insert into t values (9)'));
    const closing = first.close();
    await expect(refused).rejects.toMatchObject({ code: 'unavailable' });
    // Time enough for a close that would not wait.
    for (let n = 0; n < 100; n += 1) await count('n = 0');
    await first.run(statement('insert into t values (1)'));
    await first.end('commit');
    await closing;
    const second = await SqliteEngine.open(file);
    expect((await second.read(statement('select n from t'))).rows).toEqual([[1]]);
    await second.close();
  });

  it('gives each statement of a group its own outcome', async () => {
    const insert = (n: number) => engine.write(statement('insert into t values (?, ?)', n, 'group'));
    const settled = await Promise.allSettled([1, 2, 2, 3, 1, 4].map(insert));
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    expect(await count(`v = 'group'`)).toBe(4);
  });

  it('lets nothing in between the statements of a transaction', async () => {
    await engine.begin();
    await engine.run(statement('insert into t values (?, ?)', 100, 'in'));
    const outside = engine.write(statement('insert into t values (?, ?)', 100, 'out'));
    await engine.run(statement('insert into t values (?, ?)', 101, 'in'));
    expect(await count(`v = 'in'`)).toBe(0);
    await engine.end('commit');
    await expect(outside).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' });
    expect(await count(`v = 'in'`)).toBe(2);
  });

  it('takes back what a transaction did when it is rolled back, and goes on', async () => {
    await engine.begin();
    await engine.run(statement('insert into t values (?, ?)', 200, 'back'));
    await expect(engine.run(statement('insert into t values (?, null)', 201))).rejects.toThrow(/NOT NULL/);
    await engine.end('rollback');
    expect(await count(`v = 'back'`)).toBe(0);
    await engine.write(statement('insert into t values (?, ?)', 200, 'after'));
    expect(await count(`v = 'after'`)).toBe(1);
  });

  it('reads what had answered, while a transaction is open', async () => {
    await engine.write(statement('insert into t values (?, ?)', 300, 'seen'));
    await engine.begin();
    await engine.run(statement('update t set v = ? where n = 300', 'unseen'));
    expect(await count(`v = 'seen'`)).toBe(1);
    await engine.end('rollback');
  });

  it('serves transactions in the order in which they came', async () => {
    const order: number[] = [];
    await Promise.all(
      [1, 2, 3, 4].map(async (n) => {
        await engine.begin();
        order.push(n);
        await engine.end('commit');
      }),
    );
    expect(order).toEqual([1, 2, 3, 4]);
  });

  it('says what is wrong with a statement, and keeps going', async () => {
    await expect(engine.write(statement('insert into nowhere values (1)'))).rejects.toThrow(/no such table/);
    expect(await count('n < 0')).toBe(0);
  });
});
