import { type ErrorCode, ParleyError } from '@parley/contracts';

/** Names as in the server's error table. */
const ER = {
  BAD_DB: 1049,
  DUP_KEYNAME: 1061,
  DUP_ENTRY: 1062,
  NO_SUCH_TABLE: 1146,
  LOCK_WAIT_TIMEOUT: 1205,
  LOCK_DEADLOCK: 1213,
  DATA_TOO_LONG: 1406,
  TRANSACTION_ROLLBACK_DURING_COMMIT: 3101,
} as const;

/** The database answers, but not for us: its credentials or grants are wrong, and waiting does not mend them. */
const REFUSED = new Set([1044, 1045, 1698]);

/** The server, not the statement, is at fault; the connection may be used again. */
const UNAVAILABLE = new Set([
  1021, // disk full
  1037, // out of memory
  1041,
  1114, // table full
  1317, // interrupted
  1969, // MariaDB: max_statement_time exceeded
  3024, // MySQL: max_execution_time exceeded
]);

/** As above, but whoever connects anew may find a better server: it shuts down, or has become a replica. */
const LEAVE = new Set([
  1040, // too many connections
  1047, // Galera: not ready
  1053, // shutting down
  1203, // too many connections of this user
  1290, // read only
  1792, // read only
  1836, // read only
  1927, // MariaDB: killed
  3100, // group replication: not writable
  4031, // MySQL: closed for inactivity
]);

/**
 * The connection is gone, or there was none to be had. What it was running may or may not have been done.
 * `silent`: it was given up because nothing came back in time; asking once more would take as long again.
 *
 * The message is for clients, who are told neither addresses nor account names: those are in the cause.
 */
export class MysqlLost extends ParleyError {
  readonly silent: boolean;
  readonly errno: number | null;

  constructor(how: { readonly silent?: boolean; readonly cause: Error }) {
    super('unavailable', 'The connection to the database of the directory was lost');
    this.name = 'MysqlLost';
    this.silent = how.silent ?? false;
    this.errno = errnoOf(how.cause);
    this.cause = how.cause;
  }
}

/** The server's number of an error; null for what is not the server's. */
export function errnoOf(error: unknown): number | null {
  if (!(error instanceof Error) || !('errno' in error)) return null;
  // Node numbers the errors of sockets too, below zero.
  return typeof error.errno === 'number' && error.errno > 0 ? error.errno : null;
}

const isErrno = (error: unknown, ...numbers: readonly number[]): boolean => {
  const errno = errnoOf(error);
  return errno !== null && numbers.includes(errno);
};

export const isUniqueViolation = (error: unknown): boolean => isErrno(error, ER.DUP_ENTRY);
export const isIndexThere = (error: unknown): boolean => isErrno(error, ER.DUP_KEYNAME);
export const isTableMissing = (error: unknown): boolean => isErrno(error, ER.NO_SUCH_TABLE);
export const isDatabaseMissing = (error: unknown): boolean => isErrno(error, ER.BAD_DB);
export const isRefused = (error: unknown): boolean => REFUSED.has(errnoOf(error) ?? 0);

/** Two transactions were in each other's way, and this one was taken back (or its statement: the rest follows). */
export const isContention = (error: unknown): boolean =>
  isErrno(error, ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.TRANSACTION_ROLLBACK_DURING_COMMIT);

/** Whether the connection that a statement failed on must not be used again. */
export function endsConnection(error: Error): boolean {
  return ('fatal' in error && error.fatal === true) || LEAVE.has(errnoOf(error) ?? 0);
}

/** What a failed statement stands for. What stays as it is is told apart by its number, or is a bug. */
export function translated(error: Error, address: string): Error {
  if (error instanceof ParleyError) return error;
  const errno = errnoOf(error);
  const cause = new Error(`MySQL at ${address}: ${error.message}`, { cause: error });
  if (endsConnection(error) || errno === null) return new MysqlLost({ cause: Object.assign(cause, { errno }) });
  if (UNAVAILABLE.has(errno)) return because('unavailable', 'The database of the directory is in trouble', cause);
  if (errno === ER.DATA_TOO_LONG) return because('invalid', 'A text is longer than the directory can hold', cause);
  return error;
}

export function because(code: ErrorCode, message: string, cause: unknown): ParleyError {
  return Object.assign(new ParleyError(code, message), { cause });
}
