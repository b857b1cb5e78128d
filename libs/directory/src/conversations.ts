import { ParleyError } from '@parley/contracts';
import type { ConversationId, Seq, UserId } from '@parley/contracts';
import { type Kysely, sql } from 'kysely';
import { z } from 'zod';

import { decodeCursor, pageOf } from './cursor.js';
import type { SqlDialect, Store } from './dialect.js';
import type { Directory, MembershipView, NewConversation } from './directory.js';
import { atMost, FACTS_COLUMNS, type FactsRow, toFacts } from './rows.js';
import { directKey, nameKey, type Schema } from './schema.js';

type Conversations = Pick<
  Directory,
  'createConversation' | 'conversation' | 'conversationsOf' | 'membershipOf' | 'formerAmong' | 'publicChannels'
>;

const ChannelCursor = z.tuple([z.string(), z.string()]);

export function conversations({ db, dialect, transaction }: Store): Conversations {
  const memberships = (userId: UserId) =>
    db
      .selectFrom('members')
      .innerJoin('conversations', 'conversations.id', 'members.conversation_id')
      .select(FACTS_COLUMNS)
      .select([
        'conversations.direct_key',
        'members.user_id',
        'members.role',
        'members.joined_seq',
        'members.joined_at',
        'members.read_seq',
        'members.delivered_seq',
      ])
      .where('members.user_id', '=', userId)
      .where('conversations.deleted_at', 'is', null);

  return {
    async createConversation(conversation) {
      const pair = directKeyOf(conversation);
      const existing = pair === null ? null : await byPair(db, conversation, pair);
      if (existing !== null) return { kind: 'existing', conversation: toFacts(existing) };
      try {
        return await transaction(async (tx) => {
          const facts = await insertConversation(tx, dialect, conversation, pair);
          return { kind: 'created', conversation: toFacts(facts) };
        });
      } catch (error) {
        if (!dialect.isUniqueViolation(error)) throw error;
        // Someone else created it since we looked.
        const first = pair === null ? null : await byPair(db, conversation, pair);
        if (first !== null) return { kind: 'existing', conversation: toFacts(first) };
        throw new ParleyError('conflict', `There is a conversation ${conversation.id} already`);
      }
    },

    async conversation(id) {
      const row = await db.selectFrom('conversations').select(FACTS_COLUMNS).where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toFacts(row);
    },

    async conversationsOf(workspaceId, userId) {
      const rows = await memberships(userId).where('conversations.workspace_id', '=', workspaceId).execute();
      return rows.map(toMembershipView);
    },

    async membershipOf(userId, conversationId) {
      const row = await memberships(userId).where('members.conversation_id', '=', conversationId).executeTakeFirst();
      return row === undefined ? null : toMembershipView(row);
    },

    async formerAmong(userId, ids) {
      atMost(10_000, ids);
      const rows = await db
        .selectFrom(dialect.listed(ids))
        .innerJoin('conversations', 'conversations.id', 'listed.value')
        .leftJoin('members', (join) =>
          join.onRef('members.conversation_id', '=', 'conversations.id').on('members.user_id', '=', userId),
        )
        .select('conversations.id')
        .where((eb) =>
          eb.or([
            eb.and([eb('conversations.deleted_at', 'is not', null), eb('members.user_id', 'is not', null)]),
            eb.and([
              eb('members.user_id', 'is', null),
              eb.exists(
                eb
                  .selectFrom('former_members')
                  .select('former_members.user_id')
                  .whereRef('former_members.conversation_id', '=', 'conversations.id')
                  .where('former_members.user_id', '=', userId),
              ),
            ]),
          ]),
        )
        .distinct()
        .execute();
      return rows.map((row) => row.id as ConversationId);
    },

    async publicChannels(workspaceId, query, page) {
      const after = page.cursor === null ? null : decodeCursor(ChannelCursor, page.cursor);
      const rows = await db
        .selectFrom('conversations')
        .select([...FACTS_COLUMNS, 'name_key'])
        .where('workspace_id', '=', workspaceId)
        .where('type', '=', 'channel')
        .where('visibility', '=', 'public')
        .where('deleted_at', 'is', null)
        .$if(query !== null, (q) => q.where(sql<boolean>`instr(name_key, ${nameKey(query ?? '')}) > 0`))
        .$if(after !== null, (q) =>
          q.where((eb) => {
            const [name, id] = after ?? ['', ''];
            return eb.or([eb('name_key', '>', name), eb.and([eb('name_key', '=', name), eb('id', '>', id)])]);
          }),
        )
        .orderBy('name_key')
        .orderBy('id')
        .limit(page.limit + 1)
        .execute();
      return pageOf(rows, page.limit, toFacts, (row) => [row.name_key, row.id]);
    },
  };
}

function directKeyOf({ type, members }: NewConversation): string | null {
  if (type !== 'direct') return null;
  const [one, other] = members;
  if (one === undefined || other === undefined || members.length !== 2 || one.userId === other.userId) {
    throw new RangeError('A direct conversation has exactly two members');
  }
  return directKey(one.userId, other.userId);
}

function byPair(db: Kysely<Schema>, { workspaceId }: NewConversation, pair: string): Promise<FactsRow | null> {
  return db
    .selectFrom('conversations')
    .select(FACTS_COLUMNS)
    .where('workspace_id', '=', workspaceId)
    .where('direct_key', '=', pair)
    .executeTakeFirst()
    .then((row) => row ?? null);
}

async function insertConversation(
  tx: Kysely<Schema>,
  dialect: SqlDialect,
  conversation: NewConversation,
  pair: string | null,
): Promise<FactsRow> {
  const roles = new Map(conversation.members.map((member) => [member.userId, member.role]));
  const facts: FactsRow = {
    id: conversation.id,
    workspace_id: conversation.workspaceId,
    type: conversation.type,
    name: conversation.name,
    topic: conversation.topic,
    visibility: conversation.visibility,
    history: conversation.history,
    created_by: conversation.createdBy,
    created_at: conversation.createdAt,
    deleted_at: null,
    member_count: roles.size,
    applied_seq: 0,
  };
  await tx
    .insertInto('conversations')
    .values({ ...facts, name_key: nameKey(conversation.name ?? ''), direct_key: pair })
    .execute();
  for (const role of new Set(roles.values())) {
    const userIds = [...roles].filter(([, of]) => of === role).map(([userId]) => userId);
    await insertMembers(tx, dialect, conversation.id, userIds, { role, seq: 0, at: conversation.createdAt });
  }
  return facts;
}

/** Adds those who are not members, in one statement however many they are; answers how many that were. */
export async function insertMembers(
  tx: Kysely<Schema>,
  dialect: SqlDialect,
  conversationId: ConversationId,
  userIds: readonly UserId[],
  joined: { readonly role: string; readonly seq: number; readonly at: string },
): Promise<number> {
  const { numInsertedOrUpdatedRows } = await dialect
    .ignoring(
      tx
        .insertInto('members')
        .columns(['conversation_id', 'user_id', 'role', 'joined_seq', 'joined_at', 'read_seq', 'delivered_seq'])
        .expression(
          tx
            .selectFrom(dialect.listed(userIds))
            .select([
              sql<string>`${conversationId}`.as('conversation_id'),
              'listed.value as user_id',
              sql<string>`${joined.role}`.as('role'),
              sql<number>`${joined.seq}`.as('joined_seq'),
              sql<string>`${joined.at}`.as('joined_at'),
              sql<number>`${joined.seq}`.as('read_seq'),
              sql<number>`${joined.seq}`.as('delivered_seq'),
            ]),
        ),
      'members.user_id',
    )
    .executeTakeFirst();
  return Number(numInsertedOrUpdatedRows ?? 0n);
}

function toMembershipView(
  row: FactsRow &
    Pick<Schema['members'], 'user_id' | 'role' | 'joined_seq' | 'joined_at' | 'read_seq' | 'delivered_seq'> &
    Pick<Schema['conversations'], 'direct_key'>,
): MembershipView {
  const peer = row.direct_key?.split(':').find((id) => id !== row.user_id);
  return {
    conversation: toFacts(row),
    role: row.role,
    joinedSeq: row.joined_seq as Seq,
    joinedAt: row.joined_at,
    readSeq: row.read_seq as Seq,
    deliveredSeq: row.delivered_seq as Seq,
    peerId: peer === undefined ? null : (peer as UserId),
  };
}
