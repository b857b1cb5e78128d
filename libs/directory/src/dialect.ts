import type { AliasedRawBuilder, CreateTableBuilder, InsertQueryBuilder, Kysely, RawBuilder } from 'kysely';

import type { Schema } from './schema.js';

/** What `addColumn` takes. */
type ColumnType = Parameters<CreateTableBuilder<string>['addColumn']>[1];

/** What one database says differently from another. All queries use the common part and this. */
export interface SqlDialect {
  readonly types: {
    /** An id: 64 characters of ASCII, compared byte by byte. */
    readonly id: ColumnType;
    /** Text that is part of an index, compared byte by byte. */
    readonly key: ColumnType;
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
  /** The insert leaves rows alone that exist. */
  ignoring<TB extends keyof Schema, O>(insert: InsertQueryBuilder<Schema, TB, O>): InsertQueryBuilder<Schema, TB, O>;
  isUniqueViolation(error: unknown): boolean;
}

/** What the parts of the directory work on. */
export interface Store {
  readonly db: Kysely<Schema>;
  readonly dialect: SqlDialect;
}
