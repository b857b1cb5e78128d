import type {
  AliasedRawBuilder,
  CreateIndexBuilder,
  CreateTableBuilder,
  InsertQueryBuilder,
  Kysely,
  RawBuilder,
  Transaction,
} from 'kysely';

import type { Schema } from './schema.js';

/** What `addColumn` takes. */
type ColumnType = Parameters<CreateTableBuilder<string>['addColumn']>[1];

/** What one database says differently from another. All queries use the common part and this. */
export interface SqlDialect {
  readonly types: {
    /** An id: 64 characters of ASCII, compared byte by byte. */
    readonly id: ColumnType;
    /** ASCII of at most 255 characters that may be part of an index, compared byte by byte: words, hashes, pairs of ids. */
    readonly ascii: ColumnType;
    /** Text of at most `NAME_KEY_MAX` characters that may be part of an index, compared and sorted byte by byte. */
    readonly key: ColumnType;
    /** Text of at most 255 characters. */
    readonly name: ColumnType;
    readonly text: ColumnType;
    readonly time: ColumnType;
    readonly integer: ColumnType;
  };
  /** Appended to `create table`: rows are kept in the order of their primary key. */
  readonly clustered: RawBuilder<unknown>;
  /** `select … for update` is needed to be alone with a row in a transaction. */
  readonly rowLocks: boolean;
  /** A table of these strings as one parameter, so that a statement's text does not depend on how many there are. */
  listed(values: readonly string[]): AliasedRawBuilder<{ value: string }, 'listed'>;
  /** The right side of `in`, in the form by which this database enters the index of the column. */
  among(values: readonly string[]): RawBuilder<string>;
  /** The insert leaves rows alone that exist. `key` is any column of the key, as `table.column`. */
  ignoring<TB extends keyof Schema, O>(
    insert: InsertQueryBuilder<Schema, TB, O>,
    key: string,
  ): InsertQueryBuilder<Schema, TB, O>;
  /** Makes an index, or leaves it as it is. */
  ensureIndex(index: CreateIndexBuilder<string>): Promise<void>;
  isUniqueViolation(error: unknown): boolean;
}

/** What the parts of the directory work on. */
export interface Store {
  readonly db: Kysely<Schema>;
  readonly dialect: SqlDialect;
  /** All of it or nothing. It may run several times, so that it may change nothing outside of the database. */
  transaction<T>(run: (tx: Transaction<Schema>) => Promise<T>): Promise<T>;
}
