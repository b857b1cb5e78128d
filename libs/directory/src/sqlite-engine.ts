import { ParleyError } from '@parley/contracts';

import { SqliteThread, succeeded } from './sqlite-thread.js';
import type { SqlOutcome, SqlStatement } from './sqlite-worker.js';

export interface EngineLimits {
  /** Statements and transactions waiting for the writing connection; beyond, `overloaded`. */
  readonly maxWaiting: number;
  /** Statements in one commit. */
  readonly maxGroup: number;
  /** Reads that have not been answered; beyond, `overloaded`. */
  readonly maxReads: number;
}

export const ENGINE_LIMITS: EngineLimits = { maxWaiting: 10_000, maxGroup: 500, maxReads: 10_000 };

type Done = ReturnType<typeof succeeded>;

type Waiter =
  | {
      readonly kind: 'statement';
      readonly statement: SqlStatement;
      readonly settle: (outcome: SqlOutcome | Error) => void;
    }
  | { readonly kind: 'transaction'; readonly enter: () => void; readonly refuse: (error: Error) => void };

/**
 * One connection that writes and one that reads, each on its own thread.
 *
 * The writing connection belongs to one transaction or to one group of statements at a time, first come, first served.
 * Statements that wait together share a commit, and so an fsync; those may pass a waiting transaction, which only waits
 * for whoever is in front of it. Reads see every commit that was answered and never wait for an fsync.
 */
export class SqliteEngine {
  readonly #writer: SqliteThread;
  readonly #reader: SqliteThread;
  readonly #limits: EngineLimits;
  #waiting: Waiter[] = [];
  #taken = false;
  #closing: Promise<void> | null = null;
  #released: () => void = () => undefined;

  private constructor(writer: SqliteThread, reader: SqliteThread, limits: EngineLimits) {
    this.#writer = writer;
    this.#reader = reader;
    this.#limits = limits;
  }

  static async open(file: string, limits: EngineLimits = ENGINE_LIMITS): Promise<SqliteEngine> {
    // Both threads start at once; the reader opens the file when the writer has made it.
    const writer = new SqliteThread();
    const reader = new SqliteThread();
    try {
      await writer.open(file, false);
      await reader.open(file, true);
    } catch (error) {
      await Promise.all([reader.close(), writer.close()]);
      throw error;
    }
    return new SqliteEngine(writer, reader, limits);
  }

  async read(statement: SqlStatement): Promise<Done> {
    this.#assertOpen();
    if (this.#reader.pending >= this.#limits.maxReads)
      throw new ParleyError('overloaded', 'Too many reads are waiting');
    return first(await this.#reader.run([statement], false));
  }

  /** A statement of its own, durable when it is answered. */
  async write(statement: SqlStatement): Promise<Done> {
    const outcome = await new Promise<SqlOutcome>((resolve, reject) => {
      this.#enqueue({
        kind: 'statement',
        statement,
        settle: (settled) => (settled instanceof Error ? reject(settled) : resolve(settled)),
      });
    });
    return succeeded(outcome);
  }

  /** Waits for the writing connection and begins; `run` and then `end` follow. */
  async begin(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#enqueue({ kind: 'transaction', enter: resolve, refuse: reject });
    });
    try {
      await this.run({ sql: 'begin immediate', parameters: [] });
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  /** A statement of the transaction that has begun. */
  async run(statement: SqlStatement): Promise<Done> {
    return first(await this.#writer.run([statement], false));
  }

  async end(how: 'commit' | 'rollback'): Promise<void> {
    try {
      if (how === 'commit') await this.run({ sql: 'commit', parameters: [] });
      else await this.#rollback();
    } catch (error) {
      await this.#rollback();
      throw error;
    } finally {
      this.#release();
    }
  }

  /** What waits is refused; what was begun ends first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) {
      if (waiter.kind === 'statement') waiter.settle(closedError());
      else waiter.refuse(closedError());
    }
    if (this.#taken) await new Promise<void>((resolve) => (this.#released = resolve));
    await this.#reader.close();
    await this.#writer.close();
  }

  /** SQLite has rolled back by itself when the disk was full or failed: that there is no transaction is as good. */
  async #rollback(): Promise<void> {
    await this.#writer.run([{ sql: 'rollback', parameters: [] }], false);
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw closedError();
  }

  #enqueue(waiter: Waiter): void {
    this.#assertOpen();
    if (this.#waiting.length >= this.#limits.maxWaiting) {
      throw new ParleyError('overloaded', 'Too many writes are waiting');
    }
    this.#waiting.push(waiter);
    this.#next();
  }

  #release(): void {
    this.#taken = false;
    this.#released();
    this.#next();
  }

  #next(): void {
    const [head] = this.#waiting;
    if (this.#taken || head === undefined) return;
    this.#taken = true;
    if (head.kind === 'transaction') {
      this.#waiting.shift();
      head.enter();
      return;
    }
    const group: Extract<Waiter, { kind: 'statement' }>[] = [];
    const left: Waiter[] = [];
    for (const waiter of this.#waiting) {
      if (waiter.kind === 'statement' && group.length < this.#limits.maxGroup) group.push(waiter);
      else left.push(waiter);
    }
    this.#waiting = left;
    void this.#commit(group);
  }

  async #commit(group: readonly Extract<Waiter, { kind: 'statement' }>[]): Promise<void> {
    try {
      const outcomes = await this.#writer.run(
        group.map((waiter) => waiter.statement),
        true,
      );
      group.forEach((waiter, at) => waiter.settle(outcomes[at] ?? new Error('The worker left a statement out')));
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      for (const waiter of group) waiter.settle(reason);
    } finally {
      this.#release();
    }
  }
}

function first(outcomes: readonly SqlOutcome[]): Done {
  const [outcome] = outcomes;
  if (outcome === undefined) throw new Error('The worker gave no outcome');
  return succeeded(outcome);
}

function closedError(): ParleyError {
  return new ParleyError('unavailable', 'The directory is closed');
}
