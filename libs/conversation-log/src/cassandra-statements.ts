import { errors, types } from 'cassandra-driver';

import { ParleyError } from '@parley/contracts';

import { CONSISTENCY, SERIAL_CONSISTENCY } from './cassandra-config.js';

export interface Statement {
  readonly query: string;
  readonly params: unknown[];
}

interface StatementOptions {
  readonly prepare: true;
  readonly isIdempotent: boolean;
  readonly consistency: number;
  readonly serialConsistency?: number;
  readonly fetchSize?: number;
  readonly pageState?: string;
  readonly logged?: false;
  readonly readTimeout?: number;
}

/** The part of the driver's client that is used; a test may stand between. */
export interface Cql {
  execute(query: string, params: unknown[], options: StatementOptions): Promise<types.ResultSet>;
  batch(queries: Statement[], options: StatementOptions): Promise<types.ResultSet>;
  shutdown(): Promise<void>;
}

const FETCH_SIZE = 1_000;
const SERIAL_TIMEOUT_MS = 1_000;
const RETRY_AFTER_MS = 1_000;

/** Statements with their consistency and errors. All are prepared; all but a conditional one may be repeated by the driver. */
export class Statements {
  readonly #cql: Cql;

  constructor(cql: Cql) {
    this.#cql = cql;
  }

  /** All rows, page after page. */
  async rows(query: string, params: unknown[]): Promise<types.Row[]> {
    const options = { prepare: true, isIdempotent: true, consistency: CONSISTENCY, fetchSize: FETCH_SIZE } as const;
    const rows: types.Row[] = [];
    let pageState: string | undefined;
    do {
      const paged = pageState === undefined ? options : { ...options, pageState };
      const page = await this.#answered(this.#cql.execute(query, params, paged));
      for (const row of page.rows) rows.push(row);
      pageState = pageState === page.pageState ? undefined : (page.pageState ?? undefined);
    } while (pageState !== undefined);
    return rows;
  }

  /** The state that every conditional write decided so far has led to; ends one that was left in the middle. */
  async serialRows(query: string, params: unknown[]): Promise<types.Row[]> {
    const options = {
      prepare: true,
      isIdempotent: true,
      consistency: SERIAL_CONSISTENCY,
      readTimeout: SERIAL_TIMEOUT_MS,
    } as const;
    return (await this.#answered(this.#cql.execute(query, params, options))).rows;
  }

  async write({ query, params }: Statement): Promise<void> {
    const options = { prepare: true, isIdempotent: true, consistency: CONSISTENCY } as const;
    await this.#answered(this.#cql.execute(query, params, options));
  }

  /** Writes to one partition. */
  async writeAll(statements: readonly Statement[]): Promise<void> {
    const options = { prepare: true, isIdempotent: true, consistency: CONSISTENCY, logged: false } as const;
    await this.#answered(this.#cql.batch([...statements], options));
  }

  /** Whether a conditional batch was applied. What is thrown is the driver's: see `isRefusal`. */
  async conditional(statements: readonly Statement[]): Promise<boolean> {
    const result = await this.#cql.batch([...statements], {
      prepare: true,
      isIdempotent: false,
      consistency: CONSISTENCY,
      serialConsistency: SERIAL_CONSISTENCY,
      logged: false,
    });
    return result.wasApplied();
  }

  async #answered<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw asUnavailable(error);
    }
  }
}

const { responseErrorCodes } = types;
const BUGS: ReadonlySet<number> = new Set([
  responseErrorCodes.protocolError,
  responseErrorCodes.syntaxError,
  responseErrorCodes.unauthorized,
  responseErrorCodes.invalid,
  responseErrorCodes.configError,
  responseErrorCodes.alreadyExists,
]);

/** The server looked at the statement and would not have it: a bug or a wrong set-up, and certainly not written. */
export function isRefusal(error: unknown): boolean {
  return (error instanceof errors.ResponseError && BUGS.has(error.code)) || error instanceof TypeError;
}

export function asUnavailable(error: unknown): unknown {
  if (isRefusal(error) || error instanceof ParleyError || !(error instanceof Error)) return error;
  return new ParleyError('unavailable', `Cassandra does not answer: ${error.message}`, {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
