import { ParleyError } from '@parley/contracts';
import type { UserId } from '@parley/contracts';
import type { Kysely, Transaction } from 'kysely';
import { z } from 'zod';

import { decodeCursor, pageOf } from './cursor.js';
import type { SqlDialect, Store } from './dialect.js';
import type { Directory, NewUser, UserRecord } from './directory.js';
import { atMost, toUser, USER_COLUMNS } from './rows.js';
import { nameKey, type Schema } from './schema.js';

type Users = Pick<
  Directory,
  'createUser' | 'users' | 'userByUsername' | 'userByExternal' | 'findUsers' | 'updateUser' | 'setBanned'
>;

const UserCursor = z.tuple([z.string()]);
/** Sorts after whatever begins with the text before it: the last code point there is. */
const LAST = '\u{10ffff}';

export function users({ db, dialect, transaction }: Store): Users {
  const byId = async (on: Kysely<Schema>, id: UserId): Promise<UserRecord | null> => {
    const row = await on.selectFrom('users').select(USER_COLUMNS).where('id', '=', id).executeTakeFirst();
    return row === undefined ? null : toUser(row);
  };

  return {
    async createUser(user, at) {
      try {
        const created = await transaction((tx) => insertUser(tx, dialect, user, at));
        return { kind: 'created', user: created };
      } catch (error) {
        if (!dialect.isUniqueViolation(error)) throw error;
        const taken = await takenBy(db, user);
        if (taken === null) throw new ParleyError('conflict', `There is a user ${user.id} already`);
        return { kind: 'conflict', user: taken };
      }
    },

    async users(workspaceId, ids) {
      atMost(10_000, ids);
      const rows = await db
        .selectFrom('users')
        .select(USER_COLUMNS)
        // By id alone: with the workspace in the condition, SQLite enters by that index and reads all of its users.
        .where('id', 'in', dialect.among(ids))
        .execute();
      const found = rows.filter((row) => row.workspace_id === workspaceId);
      return new Map(found.map((row) => [row.id as UserId, toUser(row)]));
    },

    async userByUsername(workspaceId, username) {
      const row = await db
        .selectFrom('users')
        .select([...USER_COLUMNS, 'password_hash'])
        .where('workspace_id', '=', workspaceId)
        .where('username_key', '=', nameKey(username))
        .executeTakeFirst();
      return row === undefined ? null : { user: toUser(row), passwordHash: row.password_hash };
    },

    async userByExternal(issuer, subject) {
      const row = await db
        .selectFrom('users')
        .select(USER_COLUMNS)
        .where('issuer', '=', issuer)
        .where('subject', '=', subject)
        .executeTakeFirst();
      return row === undefined ? null : toUser(row);
    },

    async findUsers(workspaceId, query, page) {
      const after = page.cursor === null ? null : decodeCursor(UserCursor, page.cursor)[0];
      const from = query === null ? '' : nameKey(query);
      const rows = await db
        .selectFrom('users')
        .select([...USER_COLUMNS, 'username_key'])
        .where('workspace_id', '=', workspaceId)
        .where('banned_at', 'is', null)
        .$if(from !== '', (q) =>
          q.where((eb) =>
            eb.or([
              eb.and([eb('username_key', '>=', from), eb('username_key', '<', from + LAST)]),
              eb.and([eb('display_key', '>=', from), eb('display_key', '<', from + LAST)]),
            ]),
          ),
        )
        .$if(after !== null, (q) => q.where('username_key', '>', after ?? ''))
        .orderBy('username_key')
        .limit(page.limit + 1)
        .execute();
      return pageOf(rows, page.limit, toUser, (row) => [row.username_key]);
    },

    async updateUser(userId, change) {
      const columns = {
        ...(change.displayName === undefined
          ? {}
          : { display_name: change.displayName, display_key: nameKey(change.displayName) }),
        ...(change.avatarUrl === undefined ? {} : { avatar_url: change.avatarUrl }),
      };
      if (Object.keys(columns).length > 0)
        await db.updateTable('users').set(columns).where('id', '=', userId).execute();
      return byId(db, userId);
    },

    setBanned(userId, bannedAt) {
      return transaction(async (tx) => {
        await tx.updateTable('users').set({ banned_at: bannedAt }).where('id', '=', userId).execute();
        if (bannedAt !== null) {
          await tx
            .updateTable('families')
            .set({ ended_at: bannedAt })
            .where('user_id', '=', userId)
            .where('ended_at', 'is', null)
            .execute();
        }
        return byId(tx, userId);
      });
    },
  };
}

async function insertUser(
  tx: Transaction<Schema>,
  dialect: SqlDialect,
  user: NewUser,
  at: string,
): Promise<UserRecord> {
  const admin = await becomesAdmin(tx, dialect, user, at);
  const row = {
    id: user.id,
    workspace_id: user.workspaceId,
    username: user.username,
    username_key: nameKey(user.username),
    display_name: user.displayName,
    display_key: nameKey(user.displayName),
    avatar_url: null,
    password_hash: user.passwordHash,
    bot: user.bot ? 1 : 0,
    admin: admin ? 1 : 0,
    banned_at: null,
    created_at: at,
    issuer: user.external?.issuer ?? null,
    subject: user.external?.subject ?? null,
  };
  await tx.insertInto('users').values(row).execute();
  return toUser(row);
}

/** Makes the workspace where it is new. Of two first people only one finds the place of the admin empty. */
async function becomesAdmin(tx: Transaction<Schema>, dialect: SqlDialect, user: NewUser, at: string): Promise<boolean> {
  // Once there is an admin, registrations have no row in common and wait for nobody.
  const workspace = await tx
    .selectFrom('workspaces')
    .select('admin_id')
    .where('id', '=', user.workspaceId)
    .executeTakeFirst();
  if (workspace !== undefined && (workspace.admin_id !== null || user.bot)) return false;
  const row = { id: user.workspaceId, admin_id: null, created_at: at };
  await dialect.ignoring(tx.insertInto('workspaces').values(row), 'workspaces.id').execute();
  if (user.bot) return false;
  const { numUpdatedRows } = await tx
    .updateTable('workspaces')
    .set({ admin_id: user.id })
    .where('id', '=', user.workspaceId)
    .where('admin_id', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Who has the external account, or else the username, that a new user asked for. */
async function takenBy(db: Kysely<Schema>, user: NewUser): Promise<UserRecord | null> {
  const { external } = user;
  const rows = await db
    .selectFrom('users')
    .select([...USER_COLUMNS, 'issuer', 'subject'])
    .where((eb) =>
      eb.or([
        eb.and([eb('workspace_id', '=', user.workspaceId), eb('username_key', '=', nameKey(user.username))]),
        ...(external === undefined
          ? []
          : [eb.and([eb('issuer', '=', external.issuer), eb('subject', '=', external.subject)])]),
      ]),
    )
    .execute();
  const same = rows.find(
    (row) => external !== undefined && row.issuer === external.issuer && row.subject === external.subject,
  );
  const row = same ?? rows[0];
  return row === undefined ? null : toUser(row);
}
