import { DEFAULT_WORKSPACE } from '@parley/contracts';
import type { Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';

import type { SqlDialect, Store } from './dialect.js';
import type { Schema } from './schema.js';

/** Brings the tables to what the queries expect; does nothing when they are. Concurrent calls wait for each other. */
export async function migrate({ db, dialect }: Pick<Store, 'db' | 'dialect'>): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations(dialect) },
  });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}

/** Migrations that the database has not had; newer ones are no concern. */
export function missingMigrations(dialect: SqlDialect, applied: readonly string[]): readonly string[] {
  return Object.keys(migrations(dialect)).filter((name) => !applied.includes(name));
}

/**
 * By name, in alphabetical order. What was released never changes: a change is one more. Each may be run again after it
 * stopped anywhere: MySQL commits at every statement that changes a table.
 */
function migrations(dialect: SqlDialect): Record<string, Migration> {
  return {
    '001-accounts': { up: (db: Kysely<Schema>) => accounts(db, dialect) },
    '002-conversations': { up: (db: Kysely<Schema>) => conversations(db, dialect) },
  };
}

async function accounts(db: Kysely<Schema>, dialect: SqlDialect): Promise<void> {
  const { types, clustered } = dialect;
  await db.schema
    .createTable('workspaces')
    .ifNotExists()
    .addColumn('id', types.id, (c) => c.primaryKey().notNull())
    .addColumn('admin_id', types.id)
    .addColumn('created_at', types.time, (c) => c.notNull())
    .modifyEnd(clustered)
    .execute();
  const workspace = { id: DEFAULT_WORKSPACE, admin_id: null, created_at: new Date(0).toISOString() };
  await dialect.ignoring(db.insertInto('workspaces').values(workspace), 'workspaces.id').execute();

  await db.schema
    .createTable('users')
    .ifNotExists()
    .addColumn('id', types.id, (c) => c.primaryKey().notNull())
    .addColumn('workspace_id', types.id, (c) => c.notNull())
    .addColumn('username', types.name, (c) => c.notNull())
    .addColumn('username_key', types.key, (c) => c.notNull())
    .addColumn('display_name', types.name, (c) => c.notNull())
    .addColumn('display_key', types.key, (c) => c.notNull())
    .addColumn('avatar_url', types.text)
    .addColumn('password_hash', types.text)
    .addColumn('bot', types.integer, (c) => c.notNull())
    .addColumn('admin', types.integer, (c) => c.notNull())
    .addColumn('banned_at', types.time)
    .addColumn('created_at', types.time, (c) => c.notNull())
    .addColumn('issuer', types.key)
    .addColumn('subject', types.key)
    .addUniqueConstraint('users_by_name', ['workspace_id', 'username_key'])
    .addUniqueConstraint('users_by_external', ['issuer', 'subject'])
    .modifyEnd(clustered)
    .execute();
  await dialect.ensureIndex(
    db.schema.createIndex('users_by_display').on('users').columns(['workspace_id', 'display_key']),
  );

  await db.schema
    .createTable('families')
    .ifNotExists()
    .addColumn('id', types.id, (c) => c.primaryKey().notNull())
    .addColumn('user_id', types.id, (c) => c.notNull())
    .addColumn('workspace_id', types.id, (c) => c.notNull())
    .addColumn('ended_at', types.time)
    .addColumn('expires_at', types.time, (c) => c.notNull())
    .modifyEnd(clustered)
    .execute();
  await dialect.ensureIndex(
    db.schema.createIndex('families_by_user').on('families').columns(['user_id', 'expires_at']),
  );
  await db.schema
    .createTable('refresh_tokens')
    .ifNotExists()
    .addColumn('token_hash', types.ascii, (c) => c.primaryKey().notNull())
    .addColumn('family_id', types.id, (c) => c.notNull())
    .addColumn('used_at', types.time)
    .addColumn('expires_at', types.time, (c) => c.notNull())
    .modifyEnd(clustered)
    .execute();
  await dialect.ensureIndex(db.schema.createIndex('refresh_tokens_by_family').on('refresh_tokens').column('family_id'));

  await db.schema
    .createTable('api_keys')
    .ifNotExists()
    .addColumn('id', types.id, (c) => c.primaryKey().notNull())
    .addColumn('workspace_id', types.id, (c) => c.notNull())
    .addColumn('name', types.name, (c) => c.notNull())
    .addColumn('scopes', types.text, (c) => c.notNull())
    .addColumn('user_id', types.id, (c) => c.notNull())
    .addColumn('secret_hash', types.ascii, (c) => c.notNull())
    .addColumn('created_at', types.time, (c) => c.notNull())
    .addColumn('last_used_at', types.time)
    .addUniqueConstraint('api_keys_by_secret', ['secret_hash'])
    .modifyEnd(clustered)
    .execute();
  await dialect.ensureIndex(db.schema.createIndex('api_keys_by_workspace').on('api_keys').column('workspace_id'));

  await db.schema
    .createTable('secrets')
    .ifNotExists()
    .addColumn('name', types.ascii, (c) => c.primaryKey().notNull())
    .addColumn('value', types.text, (c) => c.notNull())
    .modifyEnd(clustered)
    .execute();
}

async function conversations(db: Kysely<Schema>, dialect: SqlDialect): Promise<void> {
  const { types, clustered } = dialect;
  await db.schema
    .createTable('conversations')
    .ifNotExists()
    .addColumn('id', types.id, (c) => c.primaryKey().notNull())
    .addColumn('workspace_id', types.id, (c) => c.notNull())
    .addColumn('type', types.ascii, (c) => c.notNull())
    .addColumn('name', types.name)
    .addColumn('name_key', types.key, (c) => c.notNull())
    .addColumn('topic', types.text)
    .addColumn('visibility', types.ascii, (c) => c.notNull())
    .addColumn('history', types.ascii, (c) => c.notNull())
    .addColumn('created_by', types.id, (c) => c.notNull())
    .addColumn('created_at', types.time, (c) => c.notNull())
    .addColumn('deleted_at', types.time)
    .addColumn('member_count', types.integer, (c) => c.notNull())
    .addColumn('applied_seq', types.integer, (c) => c.notNull())
    .addColumn('direct_key', types.ascii)
    .addUniqueConstraint('conversations_by_pair', ['workspace_id', 'direct_key'])
    .modifyEnd(clustered)
    .execute();
  await dialect.ensureIndex(
    db.schema
      .createIndex('conversations_by_name')
      .on('conversations')
      .columns(['workspace_id', 'type', 'visibility', 'name_key', 'id']),
  );

  await db.schema
    .createTable('members')
    .ifNotExists()
    .addColumn('conversation_id', types.id, (c) => c.notNull())
    .addColumn('user_id', types.id, (c) => c.notNull())
    .addColumn('role', types.ascii, (c) => c.notNull())
    .addColumn('joined_seq', types.integer, (c) => c.notNull())
    .addColumn('joined_at', types.time, (c) => c.notNull())
    .addColumn('read_seq', types.integer, (c) => c.notNull())
    .addColumn('read_at', types.time)
    .addColumn('delivered_seq', types.integer, (c) => c.notNull())
    .addColumn('delivered_at', types.time)
    .addPrimaryKeyConstraint('members_key', ['conversation_id', 'user_id'])
    .modifyEnd(clustered)
    .execute();
  await dialect.ensureIndex(
    db.schema.createIndex('members_by_user').on('members').columns(['user_id', 'conversation_id']),
  );
  await dialect.ensureIndex(
    db.schema.createIndex('members_by_joining').on('members').columns(['conversation_id', 'joined_seq', 'user_id']),
  );
  await db.schema
    .createTable('former_members')
    .ifNotExists()
    .addColumn('conversation_id', types.id, (c) => c.notNull())
    .addColumn('user_id', types.id, (c) => c.notNull())
    .addColumn('joined_seq', types.integer, (c) => c.notNull())
    .addColumn('left_seq', types.integer, (c) => c.notNull())
    .addColumn('role', types.ascii, (c) => c.notNull())
    .addPrimaryKeyConstraint('former_members_key', ['conversation_id', 'user_id', 'joined_seq'])
    .modifyEnd(clustered)
    .execute();
}
