import type { Store } from './dialect.js';
import type { Directory } from './directory.js';
import { atMost, present, toFamily } from './rows.js';

type SignIns = Pick<Directory, 'createFamily' | 'rotateToken' | 'endFamily' | 'liveFamilies'>;

const FAMILY_COLUMNS = ['families.id', 'families.user_id', 'families.workspace_id', 'families.ended_at'] as const;

export function signIns({ db, dialect, transaction }: Store): SignIns {
  return {
    createFamily(family, tokenHash, at, expiresAt) {
      return transaction(async (tx) => {
        // A new sign-in forgets this user's expired ones: so nobody leaves more behind than is in use.
        const expired = await tx
          .selectFrom('families')
          .select('id')
          .where('user_id', '=', family.userId)
          .where('expires_at', '<=', at)
          .limit(100)
          .execute();
        if (expired.length > 0) {
          const ids = expired.map((row) => row.id);
          await tx.deleteFrom('refresh_tokens').where('family_id', 'in', dialect.among(ids)).execute();
          await tx.deleteFrom('families').where('id', 'in', dialect.among(ids)).execute();
        }
        await tx
          .insertInto('families')
          .values({
            id: family.id,
            user_id: family.userId,
            workspace_id: family.workspaceId,
            ended_at: null,
            expires_at: expiresAt,
          })
          .execute();
        await tx
          .insertInto('refresh_tokens')
          .values({ token_hash: tokenHash, family_id: family.id, used_at: null, expires_at: expiresAt })
          .execute();
      });
    },

    rotateToken(oldHash, newHash, at, expiresAt) {
      return transaction(async (tx) => {
        const found = await tx
          .selectFrom('refresh_tokens')
          .innerJoin('families', 'families.id', 'refresh_tokens.family_id')
          .select([...FAMILY_COLUMNS, 'refresh_tokens.expires_at'])
          .where('token_hash', '=', oldHash)
          // The family too: it must not end between this look at it and the next token.
          .$if(dialect.rowLocks, (q) => q.forUpdate())
          .executeTakeFirst();
        if (found === undefined) return { kind: 'unknown' };
        if (found.ended_at === null && found.expires_at > at) {
          // Of two exchanges of one token only one finds it unused.
          const { numUpdatedRows } = await tx
            .updateTable('refresh_tokens')
            .set({ used_at: at })
            .where('token_hash', '=', oldHash)
            .where('used_at', 'is', null)
            .executeTakeFirst();
          if (numUpdatedRows === 1n) {
            await tx
              .deleteFrom('refresh_tokens')
              .where('family_id', '=', found.id)
              .where('expires_at', '<=', at)
              .execute();
            await tx
              .insertInto('refresh_tokens')
              .values({ token_hash: newHash, family_id: found.id, used_at: null, expires_at: expiresAt })
              .execute();
            await tx.updateTable('families').set({ expires_at: expiresAt }).where('id', '=', found.id).execute();
            return { kind: 'rotated', family: toFamily(found) };
          }
        }
        const { used_at: usedAt } = present(
          await tx.selectFrom('refresh_tokens').select('used_at').where('token_hash', '=', oldHash).executeTakeFirst(),
          'a refresh token',
        );
        if (usedAt === null) return { kind: 'expired' };
        const endedAt = found.ended_at ?? at;
        await tx
          .updateTable('families')
          .set({ ended_at: endedAt })
          .where('id', '=', found.id)
          .where('ended_at', 'is', null)
          .execute();
        return { kind: 'reused', family: toFamily({ ...found, ended_at: endedAt }) };
      });
    },

    async endFamily(familyId, at) {
      await db
        .updateTable('families')
        .set({ ended_at: at })
        .where('id', '=', familyId)
        .where('ended_at', 'is', null)
        .execute();
      const row = await db.selectFrom('families').select(FAMILY_COLUMNS).where('id', '=', familyId).executeTakeFirst();
      return row === undefined ? null : toFamily(row);
    },

    async liveFamilies(familyIds) {
      atMost(10_000, familyIds);
      const rows = await db
        .selectFrom('families')
        .select('id')
        .where('id', 'in', dialect.among(familyIds))
        .where('ended_at', 'is', null)
        .execute();
      return new Set(rows.map((row) => row.id));
    },
  };
}
