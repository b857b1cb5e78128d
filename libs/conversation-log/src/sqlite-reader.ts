import Database from 'better-sqlite3';

import {
  type BatchServer,
  type Call,
  type CallResult,
  EVERYONE,
  type HeadRow,
  type ReaderCalls,
  type ReplySummaryRow,
  type StoredRow,
} from './sqlite-calls.js';
import { indexedUpTo } from './sqlite-schema.js';

const CACHE_KIB = 32 * 1024;
const BUSY_TIMEOUT_MS = 5_000;
const PARTICIPANTS_MAX = 50;

/** Opens the file, which the writer made, for reading. */
export function openReader(file: string): BatchServer {
  const db = new Database(file, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  try {
    db.pragma(`cache_size = -${CACHE_KIB}`);
    const calls = readerCalls(db);
    // One snapshot a batch: the statements of a call see the same log.
    const snapshot = db.transaction((batch: readonly Call[]) => batch.map((call) => answer(calls, call)));
    return {
      run(batch) {
        try {
          return snapshot(batch);
        } catch (error) {
          return batch.map(() => failed(error));
        }
      },
      close: () => db.close(),
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

function answer(calls: ReaderCalls, [method, args]: Call): CallResult {
  const run = calls[method as keyof ReaderCalls] as (...args: readonly unknown[]) => unknown;
  try {
    return { ok: true, value: run(...args) };
  } catch (error) {
    return failed(error);
  }
}

function failed(error: unknown): CallResult {
  return { ok: false, message: error instanceof Error ? error.message : String(error) };
}

function readerCalls(db: Database.Database): ReaderCalls {
  return { ...headCalls(db), ...entryCalls(db), ...clientIdCalls(db), ...threadCalls(db), ...tallyCalls(db) };
}

/** Conversations by number; ids are only in `heads`. */
function numberOf(db: Database.Database): (conversationId: string) => number {
  const find = db.prepare<[string], { no: number }>(
    'SELECT conversation_no AS no FROM heads WHERE conversation_id = ?',
  );
  // 0 is no conversation's number, so that the queries of one that is unknown find nothing.
  return (conversationId) => find.get(conversationId)?.no ?? 0;
}

function headCalls(db: Database.Database): Pick<ReaderCalls, 'heads' | 'unsealed'> {
  const head = db.prepare<[string], HeadRow>(
    `SELECT seq, ordinal, member_seq AS memberSeq, last_message_seq AS lastMessageSeq, last_at_ms AS lastAtMs,
            sealed_seq AS sealedSeq FROM heads WHERE conversation_id = ?`,
  );
  // Asked at a start and rarely after: a scan of small rows is cheaper than an index that every append and seal moves.
  const unsealed = db
    .prepare<[number], string>('SELECT conversation_id FROM heads WHERE sealed_seq < seq LIMIT ?')
    .pluck();
  return {
    heads: (conversationIds) => conversationIds.map((id) => head.get(id) ?? null),
    unsealed: (limit) => unsealed.all(limit),
  };
}

const STORED = 'ordinal, member_seq AS memberSeq, json';

function entryCalls(db: Database.Database): Pick<ReaderCalls, 'read' | 'readMessages' | 'readChanges' | 'readPins'> {
  const no = numberOf(db);
  const select = (where: string) => db.prepare<unknown[], StoredRow>(`SELECT ${STORED} FROM entries WHERE ${where}`);
  const range = select('conversation_no = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?');
  const messages = `conversation_no = ? AND seq > ? AND seq < ? AND kind = 'message'`;
  const firstMessages = select(`${messages} ORDER BY seq LIMIT ?`);
  const lastMessages = select(`${messages} ORDER BY seq DESC LIMIT ?`);
  const lastMessage = db
    .prepare<[number], number>('SELECT last_message_seq FROM heads WHERE conversation_no = ?')
    .pluck();
  const changes = select('conversation_no = ? AND target_seq BETWEEN ? AND ? ORDER BY seq');
  const pins = select(`conversation_no = ? AND kind = 'pin' ORDER BY seq DESC LIMIT ?`);
  return {
    read: (id, after, upTo, limit) => range.all(no(id), after, upTo, limit),
    readMessages(id, after, before, take, limit) {
      const conversationNo = no(id);
      // Changes after the last message need not be walked.
      const end = Math.min(before, (lastMessage.get(conversationNo) ?? 0) + 1);
      return take === 'first'
        ? firstMessages.all(conversationNo, after, end, limit)
        : lastMessages.all(conversationNo, after, end, limit).reverse();
    },
    readChanges: (id, from, to) => changes.all(no(id), from, to),
    readPins: (id, limit) => pins.all(no(id), limit).reverse(),
  };
}

function clientIdCalls(db: Database.Database): Pick<ReaderCalls, 'findClientIds'> {
  const head = db.prepare<[string], { no: number; seq: number }>(
    'SELECT conversation_no AS no, seq FROM heads WHERE conversation_id = ?',
  );
  const tail = db.prepare<[number, number, number], StoredRow & { senderId: string; clientId: string }>(
    `SELECT sender_id AS senderId, client_id AS clientId, ${STORED} FROM entries
     WHERE conversation_no = ? AND seq > ? AND client_id IS NOT NULL AND at_ms >= ? ORDER BY seq`,
  );
  const indexed = db.prepare<[number, string, string, number], StoredRow>(
    `SELECT ${STORED} FROM client_ids JOIN entries USING (conversation_no, seq)
     WHERE conversation_no = ? AND client_ids.sender_id = ? AND client_ids.client_id = ? AND at_ms >= ?
     ORDER BY seq DESC LIMIT 1`,
  );
  return {
    findClientIds(id, keys, sinceMs) {
      const at = head.get(id);
      if (at === undefined) return keys.map(() => null);
      const recent = new Map<string, StoredRow>();
      for (const row of tail.all(at.no, indexedUpTo(at.no, at.seq), sinceMs)) {
        recent.set(`${row.senderId} ${row.clientId}`, row);
      }
      return keys.map(
        ([senderId, clientId]) =>
          recent.get(`${senderId} ${clientId}`) ?? indexed.get(at.no, senderId, clientId, sinceMs) ?? null,
      );
    },
  };
}

function threadCalls(db: Database.Database): Pick<ReaderCalls, 'readReplies' | 'replySummaries'> {
  const no = numberOf(db);
  const replies = db.prepare<[number, number, number, number], StoredRow>(
    `SELECT ${STORED} FROM entries WHERE conversation_no = ? AND parent_seq = ? AND seq > ? ORDER BY seq LIMIT ?`,
  );
  const live = 'FROM entries WHERE conversation_no = ? AND parent_seq = ? AND deleted_at IS NULL';
  const authors = db.prepare<[number, number], { senderId: string; count: number }>(
    `SELECT sender_id AS senderId, count(*) AS count ${live} GROUP BY sender_id ORDER BY min(seq)`,
  );
  const lastAt = db.prepare<[number, number], number>(`SELECT at_ms ${live} ORDER BY seq DESC LIMIT 1`).pluck();
  return {
    readReplies: (id, parentSeq, after, limit) => replies.all(no(id), parentSeq, after, limit),
    replySummaries(id, parentSeqs) {
      const conversationNo = no(id);
      return parentSeqs.flatMap((parentSeq): ReplySummaryRow[] => {
        const rows = authors.all(conversationNo, parentSeq);
        if (rows.length === 0) return [];
        const count = rows.reduce((sum, row) => sum + row.count, 0);
        const participants = rows.slice(0, PARTICIPANTS_MAX).map((row) => row.senderId);
        return [{ parentSeq, count, lastAtMs: lastAt.get(conversationNo, parentSeq) ?? 0, participants }];
      });
    },
  };
}

function count(found: number | undefined): number {
  return found ?? 0;
}

/** Messages after the position, less those deleted since and those of one's own: of the messages only the last few are visited. */
function tallyCalls(db: Database.Database): Pick<ReaderCalls, 'tally'> {
  const head = db.prepare<[string], { no: number; seq: number; ordinal: number }>(
    'SELECT conversation_no AS no, seq, ordinal FROM heads WHERE conversation_id = ?',
  );
  const ordinalAt = db
    .prepare<[number, number], number>('SELECT ordinal FROM entries WHERE conversation_no = ? AND seq = ?')
    .pluck();
  const deletedAfter = db
    .prepare<[number, number], number>(
      `SELECT count(*) FROM entries
       WHERE conversation_no = ? AND seq > ? AND kind = 'message' AND deleted_at IS NOT NULL`,
    )
    .pluck();
  const ownIndexed = db
    .prepare<[number, string, number], number>(
      'SELECT count(*) FROM own_messages WHERE conversation_no = ? AND sender_id = ? AND seq > ?',
    )
    .pluck();
  const ownInTail = db
    .prepare<[number, string, number], number>(
      `SELECT count(*) FROM entries
       WHERE conversation_no = ? AND sender_id = ? AND seq > ? AND kind = 'message' AND deleted_at IS NULL`,
    )
    .pluck();
  const ownAfter = (no: number, userId: string, afterSeq: number, indexed: number): number =>
    (afterSeq < indexed ? count(ownIndexed.get(no, userId, afterSeq)) : 0) +
    count(ownInTail.get(no, userId, Math.max(afterSeq, indexed)));
  const mentionsAfter = db
    .prepare<[number, string, number, string], number>(
      'SELECT count(*) FROM mentions WHERE conversation_no = ? AND user_id = ? AND seq > ? AND sender_id <> ?',
    )
    .pluck();
  return {
    tally: (requests) =>
      requests.map(([conversationId, userId, afterSeq]) => {
        const at = head.get(conversationId);
        if (at === undefined || afterSeq >= at.seq) return [0, 0] as const;
        const messages = at.ordinal - count(ordinalAt.get(at.no, afterSeq));
        if (messages === 0) return [0, 0] as const;
        const unread =
          messages -
          count(deletedAfter.get(at.no, afterSeq)) -
          ownAfter(at.no, userId, afterSeq, indexedUpTo(at.no, at.seq));
        // A message that mentions everyone has no rows of its own for those it also names.
        const mentions =
          unread === 0
            ? 0
            : count(mentionsAfter.get(at.no, userId, afterSeq, userId)) +
              count(mentionsAfter.get(at.no, EVERYONE, afterSeq, userId));
        return [unread, mentions] as const;
      }),
  };
}
