import { ParleyError } from '@parley/contracts';

import type { Store } from './dialect.js';
import type { Directory } from './directory.js';
import { present, toApiKey, toUser, USER_COLUMNS } from './rows.js';

type ApiKeys = Pick<
  Directory,
  'createApiKey' | 'apiKeyByHash' | 'touchApiKey' | 'listApiKeys' | 'revokeApiKey' | 'secret'
>;

const KEY_COLUMNS = ['id', 'name', 'scopes', 'user_id', 'created_at', 'last_used_at'] as const;

export function apiKeys({ db, dialect, transaction }: Store): ApiKeys {
  return {
    async createApiKey(key) {
      const row = {
        id: key.id,
        workspace_id: key.workspaceId,
        name: key.name,
        scopes: JSON.stringify(key.scopes),
        user_id: key.userId,
        secret_hash: key.secretHash,
        created_at: key.createdAt,
        last_used_at: null,
      };
      try {
        await db.insertInto('api_keys').values(row).execute();
      } catch (error) {
        if (dialect.isUniqueViolation(error))
          throw new ParleyError('conflict', `There is an API key ${key.id} already`);
        throw error;
      }
      return toApiKey(row);
    },

    async apiKeyByHash(secretHash) {
      const row = await db
        .selectFrom('api_keys')
        .innerJoin('users', 'users.id', 'api_keys.user_id')
        .select(USER_COLUMNS)
        .select([
          'api_keys.id as key_id',
          'api_keys.name',
          'api_keys.scopes',
          'api_keys.created_at as key_created_at',
          'api_keys.last_used_at',
        ])
        .where('secret_hash', '=', secretHash)
        .executeTakeFirst();
      if (row === undefined) return null;
      return {
        key: toApiKey({ ...row, id: row.key_id, user_id: row.id, created_at: row.key_created_at }),
        user: toUser(row),
      };
    },

    async touchApiKey(id, at) {
      await db
        .updateTable('api_keys')
        .set({ last_used_at: at })
        .where('id', '=', id)
        .where((eb) => eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<', at)]))
        .execute();
    },

    async listApiKeys(workspaceId) {
      const rows = await db
        .selectFrom('api_keys')
        .select(KEY_COLUMNS)
        .where('workspace_id', '=', workspaceId)
        .orderBy('created_at')
        .orderBy('id')
        .execute();
      return rows.map(toApiKey);
    },

    revokeApiKey(workspaceId, id) {
      return transaction(async (tx) => {
        const row = await tx
          .selectFrom('api_keys')
          .select(KEY_COLUMNS)
          .where('workspace_id', '=', workspaceId)
          .where('id', '=', id)
          .$if(dialect.rowLocks, (q) => q.forUpdate())
          .executeTakeFirst();
        if (row === undefined) return null;
        await tx.deleteFrom('api_keys').where('id', '=', id).execute();
        return toApiKey(row);
      });
    },

    async secret(name, create) {
      const stored = () => db.selectFrom('secrets').select('value').where('name', '=', name).executeTakeFirst();
      const known = await stored();
      if (known !== undefined) return known.value;
      await dialect.ignoring(db.insertInto('secrets').values({ name, value: create() }), 'secrets.name').execute();
      return present(await stored(), `the secret ${name}`).value;
    },
  };
}
