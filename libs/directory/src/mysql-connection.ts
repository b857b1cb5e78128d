import { connect, type Socket } from 'node:net';

import { type Connection, type ConnectionOptions, createConnection, type FieldPacket } from 'mysql2';

import type { MysqlTarget } from './mysql-config.js';
import { endsConnection, errnoOf, MysqlLost, translated } from './mysql-errors.js';

export interface MysqlStatement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

export interface MysqlResult {
  readonly rows: readonly Record<string, unknown>[];
  readonly changes: number;
}

/** So that a peer that vanished without a word is noticed by connections at rest too. */
const KEEPALIVE_AFTER_MS = 10_000;
const QUIT_TIMEOUT_MS = 500;
const VAR_STRING = 253;
const BINARY = 63;

/** One session, one statement at a time. Whatever it is waiting for when it is lost rejects at once. */
export class MysqlConnection {
  readonly #raw: Connection;
  readonly #socket: Socket;
  readonly #address: string;
  #refuse: ((error: Error) => void) | null = null;
  #lost: Error | null = null;
  #onLost: () => void = () => undefined;

  private constructor(target: MysqlTarget) {
    this.#address = target.address;
    this.#socket = connect({
      host: target.host,
      port: target.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_AFTER_MS,
    });
    this.#raw = createConnection({ ...optionsOf(target), stream: this.#socket });
    this.#raw.on('error', (error: Error) => this.#lose(error));
    this.#raw.on('end', () => this.#lose(new Error('the server closed the connection')));
  }

  /** Connects and runs `setup`, all within `timeoutMs`. */
  static async open(target: MysqlTarget, setup: readonly string[], timeoutMs: number): Promise<MysqlConnection> {
    const connection = new MysqlConnection(target);
    const timer = setTimeout(() => connection.#lose(silence(target.address, timeoutMs)), timeoutMs);
    try {
      await connection.#waitFor((settle) => connection.#raw.connect((error) => settle(error)));
      for (const sql of setup) await connection.run({ sql, parameters: [] }, timeoutMs);
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get alive(): boolean {
    return this.#lost === null;
  }

  /** Called once, when the connection is lost or destroyed. */
  onLost(listener: () => void): void {
    this.#onLost = listener;
  }

  /**
   * mysql2's own `timeout` only rejects: the statement goes on, and its connection is taken for a good one, on which
   * the next statement waits for ever when the server is silent. So the connection goes with the statement.
   */
  async run({ sql, parameters }: MysqlStatement, timeoutMs: number): Promise<MysqlResult> {
    const timer = setTimeout(() => this.#lose(silence(this.#address, timeoutMs)), timeoutMs);
    try {
      return await this.#waitFor<MysqlResult>((settle) => {
        this.#raw.query({ sql, values: [...parameters] }, (error, result: unknown, fields: unknown) =>
          settle(error, error === null ? toResult(result, fields) : undefined),
        );
      });
    } catch (error) {
      if (error instanceof Error && endsConnection(error)) this.#lose(error);
      throw error instanceof Error ? translated(error, this.#address) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Takes leave of the server, which otherwise logs an aborted connection. */
  async quit(): Promise<void> {
    if (this.#lost !== null) return;
    this.#lost = lostBy(new Error('the connection is closed'), this.#address);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, QUIT_TIMEOUT_MS);
      this.#socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      this.#raw.end();
    });
    this.#socket.destroy();
    this.#onLost();
  }

  destroy(): void {
    this.#lose(new Error('the connection was given up'));
  }

  #waitFor<T = void>(begin: (settle: (error: Error | null, result?: T) => void) => void): Promise<T> {
    if (this.#lost !== null) return Promise.reject(this.#lost);
    return new Promise<T>((resolve, reject) => {
      this.#refuse = reject;
      begin((error, result) => {
        this.#refuse = null;
        if (error === null || error === undefined) resolve(result as T);
        else reject(error);
      });
    });
  }

  #lose(reason: Error): void {
    if (this.#lost !== null) return;
    this.#lost = reason instanceof MysqlLost ? reason : lostBy(reason, this.#address);
    this.#raw.destroy();
    // `destroy` of mysql2 only sends a FIN, to which a server that hangs does not reply.
    this.#socket.destroy();
    this.#refuse?.(this.#lost);
    this.#refuse = null;
    this.#onLost();
  }
}

function lostBy(reason: Error, address: string): MysqlLost {
  const cause = new Error(`MySQL at ${address}: ${reason.message}`, { cause: reason });
  return new MysqlLost({ cause: Object.assign(cause, { errno: errnoOf(reason) }) });
}

function silence(address: string, timeoutMs: number): MysqlLost {
  return new MysqlLost({ silent: true, cause: new Error(`MySQL at ${address} has not answered in ${timeoutMs} ms`) });
}

function optionsOf(target: MysqlTarget): ConnectionOptions {
  const { user, password, database, host, tls } = target;
  return {
    host,
    user,
    password,
    ...(database === '' ? {} : { database }),
    charset: 'utf8mb4_bin',
    // BIGINT as a number up to 2^53, which all of ours are; beyond, as text, never rounded.
    supportBigNumbers: true,
    // Rows changed, not rows matched: so that `on duplicate key update` of nothing counts nothing.
    flags: ['-FOUND_ROWS'],
    // The deadline is ours, over the session's setup too.
    connectTimeout: 0,
    ...(tls === null
      ? {}
      : {
          ssl: {
            ...(tls.ca === undefined ? {} : { ca: tls.ca }),
            ...(tls.cert === undefined ? {} : { cert: tls.cert }),
            ...(tls.key === undefined ? {} : { key: tls.key }),
            rejectUnauthorized: tls.verify ?? true,
            // Off by default in mysql2: any certificate of the authority would do for any host.
            verifyIdentity: tls.verify ?? true,
          },
        }),
  };
}

/** Keys are kept as bytes (mysql-dialect.ts), and mysql2 gives bytes as a Buffer. */
function toResult(result: unknown, fields: unknown): MysqlResult {
  if (!Array.isArray(result)) {
    const { affectedRows } = result as { readonly affectedRows: number };
    return { rows: [], changes: affectedRows };
  }
  const rows = result as Record<string, unknown>[];
  const binary = (fields as readonly FieldPacket[])
    .filter((field) => field.type === VAR_STRING && field.characterSet === BINARY)
    .map((field) => field.name);
  for (const name of binary) {
    for (const row of rows) {
      const value = row[name];
      if (Buffer.isBuffer(value)) row[name] = value.toString();
    }
  }
  return { rows, changes: 0 };
}
