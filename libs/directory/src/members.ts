import type { MemberRow, Seq, UserId } from '@parley/contracts';
import { sql } from 'kysely';
import { z } from 'zod';

import { decodeCursor, pageOf } from './cursor.js';
import type { Store } from './dialect.js';
import type { Directory, MemberView } from './directory.js';
import { atMost, toPublicUser } from './rows.js';
import type { Schema } from './schema.js';

type Members = Pick<Directory, 'memberships' | 'allMemberships' | 'members' | 'acquainted'>;

const MemberCursor = z.tuple([z.int(), z.string()]);

export function members({ db, dialect }: Store): Members {
  // Current and former intervals in one select, so that nobody is seen between the two.
  const intervals = (id: string, userIds: readonly UserId[] | null) => {
    return db
      .selectFrom('members')
      .select(['user_id', 'role', 'joined_seq', sql<number | null>`null`.as('left_seq')])
      .where('conversation_id', '=', id)
      .$if(userIds !== null, (q) => q.where('user_id', 'in', dialect.among(userIds ?? [])))
      .unionAll(
        db
          .selectFrom('former_members')
          .select(['user_id', 'role', 'joined_seq', 'left_seq'])
          .where('conversation_id', '=', id)
          .$if(userIds !== null, (q) => q.where('user_id', 'in', dialect.among(userIds ?? []))),
      );
  };

  return {
    async memberships(id, userIds) {
      atMost(10_000, userIds);
      const found = new Map<UserId, MemberRow[]>();
      for (const row of (await intervals(id, userIds).execute()).map(toMemberRow)) {
        const intervals = found.get(row.userId);
        if (intervals === undefined) found.set(row.userId, [row]);
        else intervals.push(row);
      }
      for (const intervals of found.values()) intervals.sort((a, b) => a.joinedSeq - b.joinedSeq);
      return new Map(
        [...found].map(([userId, rows]) => [
          userId,
          rows.map(({ role, joinedSeq, leftSeq }) => ({ role, joinedSeq, leftSeq })),
        ]),
      );
    },

    async allMemberships(id) {
      return (await intervals(id, null).execute()).map(toMemberRow);
    },

    async members(id, page) {
      const after = page.cursor === null ? null : decodeCursor(MemberCursor, page.cursor);
      const rows = await db
        .selectFrom('members')
        .innerJoin('users', 'users.id', 'members.user_id')
        .select(['users.id', 'users.username', 'users.display_name', 'users.avatar_url', 'users.bot'])
        .select(['members.role', 'members.joined_at', 'members.joined_seq'])
        .where('conversation_id', '=', id)
        .$if(after !== null, (q) =>
          q.where((eb) => {
            const [seq, userId] = after ?? [0, ''];
            return eb.and([
              // Said twice, because the index is entered by the first and only narrowed by the second.
              eb('joined_seq', '>=', seq),
              eb.or([eb('joined_seq', '>', seq), eb('user_id', '>', userId)]),
            ]);
          }),
        )
        .orderBy('members.joined_seq')
        .orderBy('members.user_id')
        .limit(page.limit + 1)
        .execute();
      return pageOf(
        rows,
        page.limit,
        (row): MemberView => ({
          user: toPublicUser(row),
          role: row.role,
          joinedAt: row.joined_at,
          joinedSeq: row.joined_seq as Seq,
        }),
        (row) => [row.joined_seq, row.id],
      );
    },

    async acquainted(workspaceId, userId, userIds) {
      atMost(1_000, userIds);
      const rows = await db
        .selectFrom(dialect.listed(userIds))
        .select('listed.value')
        .distinct()
        .where((eb) =>
          eb.exists(
            eb
              .selectFrom('members as theirs')
              .innerJoin('members as own', 'own.conversation_id', 'theirs.conversation_id')
              .innerJoin('conversations', 'conversations.id', 'theirs.conversation_id')
              .select('theirs.user_id')
              .whereRef('theirs.user_id', '=', 'listed.value')
              .where('own.user_id', '=', userId)
              .where('conversations.workspace_id', '=', workspaceId)
              .where('conversations.deleted_at', 'is', null),
          ),
        )
        .execute();
      return rows.map((row) => row.value as UserId);
    },
  };
}

function toMemberRow(row: {
  user_id: string;
  role: Schema['members']['role'];
  joined_seq: number;
  left_seq: number | null;
}): MemberRow {
  return {
    userId: row.user_id as UserId,
    role: row.role,
    joinedSeq: row.joined_seq as Seq,
    leftSeq: row.left_seq as Seq | null,
  };
}
