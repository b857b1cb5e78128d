import { setTimeout as wait } from 'node:timers/promises';

import { MysqlConnection, type MysqlResult, type MysqlStatement } from './mysql-connection.js';
import { because, isContention, MysqlLost } from './mysql-errors.js';
import type { MysqlTarget } from './mysql-config.js';
import { MysqlPool, type PoolLimits } from './mysql-pool.js';

export interface MysqlLimits extends PoolLimits {
  readonly connectMs: number;
  readonly statementMs: number;
  /** Reads are asked again, on another connection, when theirs was lost. Not where a connection holds a lock. */
  readonly retryReads: boolean;
  /** Statements for each new connection. */
  readonly setup: readonly string[];
}

/** For how long, and how often, what was in the way of something else is tried again. */
const CONTENTION_BUDGET_MS = 5_000;
const CONTENTION_ATTEMPTS = 8;
const BACKOFF_FIRST_MS = 5;
const BACKOFF_MAX_MS = 250;

/** Whoever holds a connection; the engine may give it another one. */
export interface Holder {
  held: MysqlConnection;
}

/** Statements and transactions on a pool of connections, with deadlines, and second attempts where they are harmless. */
export class MysqlEngine {
  readonly #pool: MysqlPool<MysqlConnection>;
  readonly #limits: MysqlLimits;
  readonly #random: () => number;

  constructor(target: MysqlTarget, limits: MysqlLimits, random: () => number = Math.random) {
    this.#limits = limits;
    this.#random = random;
    this.#pool = new MysqlPool(() => MysqlConnection.open(target, limits.setup, limits.connectMs), limits);
  }

  acquire(): Promise<MysqlConnection> {
    return this.#pool.acquire();
  }

  release(connection: MysqlConnection): void {
    this.#pool.release(connection);
  }

  run(connection: MysqlConnection, statement: MysqlStatement): Promise<MysqlResult> {
    return connection.run(statement, this.#limits.statementMs);
  }

  /** A statement that is a transaction of its own. */
  async runAlone(holder: Holder, statement: MysqlStatement, harmless: boolean): Promise<MysqlResult> {
    return this.persisting(async () => {
      try {
        return await this.run(holder.held, statement);
      } catch (error) {
        if (!harmless || !this.#limits.retryReads || !(error instanceof MysqlLost) || error.silent) throw error;
        const lost = holder.held;
        // First the other one: the holder has exactly one to release, whatever happens here.
        holder.held = await this.#pool.acquire();
        this.#pool.release(lost);
        return this.run(holder.held, statement);
      }
    });
  }

  /** Runs it again as long as it loses to others: they were in each other's way, not wrong. */
  async persisting<T>(run: () => Promise<T>): Promise<T> {
    const endsAt = performance.now() + CONTENTION_BUDGET_MS;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await run();
      } catch (error) {
        if (!isContention(error)) throw error;
        if (attempt >= CONTENTION_ATTEMPTS || performance.now() >= endsAt) {
          throw because('overloaded', 'Too many change the same rows of the directory', error);
        }
        // Full jitter: two who met once must not meet again.
        await wait(this.#random() * Math.min(BACKOFF_FIRST_MS * 2 ** attempt, BACKOFF_MAX_MS));
      }
    }
  }

  /** What cannot be rolled back is rolled back by the server, when its connection is gone. */
  async rollback(connection: MysqlConnection): Promise<void> {
    if (!connection.alive) return;
    try {
      await this.run(connection, { sql: 'rollback', parameters: [] });
    } catch {
      connection.destroy();
    }
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}
