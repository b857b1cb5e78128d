import type { Seq, UserId } from '@parley/contracts';
import type { Selectable } from 'kysely';
import { z } from 'zod';

import { decodeCursor, pageOf } from './cursor.js';
import type { Store } from './dialect.js';
import type { Directory, Position } from './directory.js';
import type { Schema } from './schema.js';

type Positions = Pick<Directory, 'mark' | 'positionsFrom' | 'countPositions'>;
type PositionRow = Pick<
  Selectable<Schema['members']>,
  'user_id' | 'read_seq' | 'read_at' | 'delivered_seq' | 'delivered_at'
>;

const POSITION_COLUMNS = ['user_id', 'read_seq', 'read_at', 'delivered_seq', 'delivered_at'] as const;
const PositionCursor = z.tuple([z.string()]);

export function positions({ db }: Store): Positions {
  return {
    async mark(userId, id, { kind, seq, at }) {
      const own = db.updateTable('members').where('conversation_id', '=', id).where('user_id', '=', userId);
      // One statement each, so that marks share commits. The condition is in the statement: what did not move writes
      // nothing. Times come before positions, because MySQL assigns from left to right.
      const { numUpdatedRows } =
        kind === 'delivered'
          ? await own.set({ delivered_at: at, delivered_seq: seq }).where('delivered_seq', '<', seq).executeTakeFirst()
          : await own
              .set((eb) => ({
                delivered_at: eb.case().when('delivered_seq', '<', seq).then(at).else(eb.ref('delivered_at')).end(),
                delivered_seq: eb.case().when('delivered_seq', '<', seq).then(seq).else(eb.ref('delivered_seq')).end(),
                // Marked unread: what lies before the new position was read when it was read.
                read_at: eb.case().when('read_seq', '<', seq).then(at).else(eb.ref('read_at')).end(),
                read_seq: seq,
              }))
              .where('read_seq', kind === 'read' ? '<' : '<>', seq)
              .executeTakeFirst();
      const row = await db
        .selectFrom('members')
        .select(POSITION_COLUMNS)
        .where('conversation_id', '=', id)
        .where('user_id', '=', userId)
        .executeTakeFirst();
      return row === undefined ? null : { ...toPosition(row), moved: numUpdatedRows === 1n };
    },

    // A member's positions start at the entry that added them: they say nothing of messages from before it.
    async positionsFrom(id, seq, exceptUserId, page) {
      const after = page.cursor === null ? null : decodeCursor(PositionCursor, page.cursor)[0];
      const rows = await db
        .selectFrom('members')
        .select(POSITION_COLUMNS)
        .where('conversation_id', '=', id)
        .where('delivered_seq', '>=', seq)
        .where('joined_seq', '<=', seq)
        .where('user_id', '<>', exceptUserId)
        .$if(after !== null, (q) => q.where('user_id', '>', after ?? ''))
        .orderBy('user_id')
        .limit(page.limit + 1)
        .execute();
      return pageOf(rows, page.limit, toPosition, (row) => [row.user_id]);
    },

    async countPositions(id, seq, exceptUserId) {
      const row = await db
        .selectFrom('members')
        .select((eb) => [
          eb.fn.countAll<number>().as('delivered'),
          eb.fn.count<number>(eb.case().when('read_seq', '>=', seq).then(1).end()).as('read'),
        ])
        .where('conversation_id', '=', id)
        .where('delivered_seq', '>=', seq)
        .where('joined_seq', '<=', seq)
        .where('user_id', '<>', exceptUserId)
        .executeTakeFirstOrThrow();
      return { delivered: row.delivered, read: row.read };
    },
  };
}

function toPosition(row: PositionRow): Position {
  return {
    userId: row.user_id as UserId,
    readSeq: row.read_seq as Seq,
    readAt: row.read_at,
    deliveredSeq: row.delivered_seq as Seq,
    deliveredAt: row.delivered_at,
  };
}
