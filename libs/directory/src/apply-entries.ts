import type { ConversationId, LogEntry, MemberEntry, SettingsEntry } from '@parley/contracts';
import type { Kysely } from 'kysely';

import { insertMembers } from './conversations.js';
import type { SqlDialect, Store } from './dialect.js';
import type { Directory } from './directory.js';
import { FACTS_COLUMNS, type FactsRow, toFacts } from './rows.js';
import { nameKey, type Schema } from './schema.js';

/** The projection of the log: member and settings entries become rows, each once, in order. */
export function projection({ dialect, transaction }: Store): Pick<Directory, 'applyEntries'> {
  return {
    applyEntries(id, entries, covered) {
      return transaction(async (tx) => {
        const current = await tx
          .selectFrom('conversations')
          .select(FACTS_COLUMNS)
          .where('id', '=', id)
          .$if(dialect.rowLocks, (q) => q.forUpdate())
          .executeTakeFirst();
        if (current === undefined) return null;
        if (covered.from > current.applied_seq || covered.upTo <= current.applied_seq) return toFacts(current);

        let facts: FactsRow = current;
        for (const entry of due(entries, current.applied_seq, covered.upTo)) {
          facts =
            entry.kind === 'settings'
              ? withSettings(facts, entry)
              : { ...facts, member_count: facts.member_count + (await applyMembers(tx, dialect, id, entry)) };
        }
        facts = { ...facts, applied_seq: covered.upTo };
        await store(tx, facts);
        return toFacts(facts);
      });
    },
  };
}

type Projected = MemberEntry | SettingsEntry;

function due(entries: readonly LogEntry[], after: number, upTo: number): readonly Projected[] {
  const bySeq = new Map<number, Projected>();
  for (const entry of entries) {
    if (entry.seq <= after || entry.seq > upTo) continue;
    if (entry.kind === 'member' || entry.kind === 'settings') bySeq.set(entry.seq, entry);
  }
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq);
}

function withSettings(facts: FactsRow, { changes, sentAt }: SettingsEntry): FactsRow {
  return {
    ...facts,
    ...(changes.name === undefined ? {} : { name: changes.name }),
    ...(changes.topic === undefined ? {} : { topic: changes.topic }),
    ...(changes.visibility === undefined ? {} : { visibility: changes.visibility }),
    ...(changes.history === undefined ? {} : { history: changes.history }),
    ...(changes.deleted === true ? { deleted_at: facts.deleted_at ?? sentAt } : {}),
  };
}

/** Answers by how many the conversation has grown. Whom the entry does not concern (any more) is left as they are. */
async function applyMembers(
  tx: Kysely<Schema>,
  dialect: SqlDialect,
  id: ConversationId,
  entry: MemberEntry,
): Promise<number> {
  switch (entry.op) {
    case 'added':
      return insertMembers(tx, dialect, id, entry.userIds, {
        role: entry.role ?? 'member',
        seq: entry.seq,
        at: entry.sentAt,
      });
    case 'removed': {
      await tx
        .insertInto('former_members')
        .columns(['conversation_id', 'user_id', 'joined_seq', 'left_seq', 'role'])
        .expression(
          tx
            .selectFrom('members')
            .select((eb) => [
              'conversation_id',
              'user_id',
              'joined_seq',
              eb.val<number>(entry.seq).as('left_seq'),
              'role',
            ])
            .where('conversation_id', '=', id)
            .where('user_id', 'in', dialect.among(entry.userIds)),
        )
        .execute();
      const { numDeletedRows } = await tx
        .deleteFrom('members')
        .where('conversation_id', '=', id)
        .where('user_id', 'in', dialect.among(entry.userIds))
        .executeTakeFirst();
      return -Number(numDeletedRows);
    }
    case 'role':
      if (entry.role === undefined) return 0;
      await tx
        .updateTable('members')
        .set({ role: entry.role })
        .where('conversation_id', '=', id)
        .where('user_id', 'in', dialect.among(entry.userIds))
        .execute();
      return 0;
  }
}

async function store(tx: Kysely<Schema>, facts: FactsRow): Promise<void> {
  await tx
    .updateTable('conversations')
    .set({
      name: facts.name,
      name_key: nameKey(facts.name ?? ''),
      topic: facts.topic,
      visibility: facts.visibility,
      history: facts.history,
      deleted_at: facts.deleted_at,
      member_count: facts.member_count,
      applied_seq: facts.applied_seq,
      // The two people of a deleted direct conversation may begin another.
      ...(facts.deleted_at === null ? {} : { direct_key: null }),
    })
    .where('id', '=', facts.id)
    .execute();
}
