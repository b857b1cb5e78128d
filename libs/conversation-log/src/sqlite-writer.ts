import Database from 'better-sqlite3';

import type { LogEntry } from '@parley/contracts';

import { EMPTY_HEAD, READ_MAX_ENTRIES, redact } from './conversation-log.js';
import {
  type AppendResult,
  type BatchServer,
  type Call,
  type CallResult,
  type EntryRow,
  EVERYONE,
  type HeadRow,
  type StoredRow,
  type WriterCalls,
} from './sqlite-calls.js';
import { indexedUpTo, MIGRATIONS } from './sqlite-schema.js';

/** Deleted text leaves the WAL this long after its delete was committed; deletes in between share the checkpoint. */
const SCRUB_AFTER_MS = 500;
/** Pages of 4 KiB after which a commit copies the WAL into the file; larger means rarer and longer pauses. */
const AUTO_CHECKPOINT_PAGES = 4_000;
const CACHE_KIB = 32 * 1024;
/** How long to wait for the lock of another process. */
const BUSY_TIMEOUT_MS = 5_000;
/** How long appends may wait for a scrub that a reader holds up. */
const SCRUB_TIMEOUT_MS = 20;

interface HeadOf extends HeadRow {
  readonly conversationNo: number;
}
interface ContentRow {
  readonly seq: number;
  readonly kind: string;
  readonly json: string;
}

/** Opens the file for writing, creating or migrating it. Throws when it cannot be used. */
export function openWriter(file: string): BatchServer {
  const db = new Database(file, { timeout: BUSY_TIMEOUT_MS });
  try {
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('secure_delete = ON');
    db.pragma(`wal_autocheckpoint = ${AUTO_CHECKPOINT_PAGES}`);
    db.pragma(`cache_size = -${CACHE_KIB}`);
    migrate(db);
    const scrubber = new Scrubber(db);
    const calls = writerCalls(db, () => scrubber.soon());
    return {
      run: (batch) => runBatch(db, calls, batch),
      close() {
        scrubber.close();
        db.close();
      },
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

function migrate(db: Database.Database): void {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version > MIGRATIONS.length) throw new Error(`the file has schema ${version}, newer than this program's`);
  db.transaction(() => {
    for (const step of MIGRATIONS.slice(version)) db.exec(step);
    db.pragma(`user_version = ${MIGRATIONS.length}`);
  }).immediate();
}

/** Everything in one commit. If one call breaks it, each gets its own, so that a bad one fails alone. */
function runBatch(db: Database.Database, calls: WriterCalls, batch: readonly Call[]): readonly CallResult[] {
  const commit = db.transaction((some: readonly Call[]) => some.map((call) => invoke(calls, call)));
  try {
    return commit.immediate(batch);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (batch.length === 1 || isStorageFailure(error)) return batch.map(() => ({ ok: false, message }));
    return batch.flatMap((call) => runBatch(db, calls, [call]));
  }
}

function invoke(calls: WriterCalls, [method, args]: Call): CallResult {
  const run = calls[method as keyof WriterCalls] as (...args: readonly unknown[]) => unknown;
  return { ok: true, value: run(...args) };
}

/** The disk or the file, not the call: trying the others alone would only fail again, slowly. */
function isStorageFailure(error: unknown): boolean {
  return error instanceof Database.SqliteError && !error.code.startsWith('SQLITE_CONSTRAINT');
}

/** Old images of pages stay in the WAL until a checkpoint; this one comes soon after deletes and empties the WAL. */
class Scrubber {
  readonly #db: Database.Database;
  #timer: NodeJS.Timeout | null = null;

  constructor(db: Database.Database) {
    this.#db = db;
  }

  soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (!this.#scrub()) this.soon();
    }, SCRUB_AFTER_MS);
  }

  /** False when a reader held it up (or the disk failed, which the next append reports): to be tried again. */
  #scrub(): boolean {
    try {
      this.#db.pragma(`busy_timeout = ${SCRUB_TIMEOUT_MS}`);
      const [outcome] = this.#db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
      return outcome?.busy === 0;
    } catch (error) {
      if (error instanceof Database.SqliteError) return false;
      throw error;
    } finally {
      this.#db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    }
  }

  /** Closing the last connection checkpoints and removes the WAL by itself; a reader may still be open, so do it here. */
  close(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#scrub();
  }
}

function writerCalls(db: Database.Database, scrubSoon: () => void): WriterCalls {
  const stored = 'ordinal, member_seq AS memberSeq, json';
  const headOf = db.prepare<[string], HeadOf>(
    `SELECT conversation_no AS conversationNo, seq, ordinal, member_seq AS memberSeq,
            last_message_seq AS lastMessageSeq, last_at_ms AS lastAtMs, sealed_seq AS sealedSeq
     FROM heads WHERE conversation_id = ?`,
  );
  const createHead = db.prepare<[string]>('INSERT INTO heads VALUES (NULL, ?, 0, 0, 0, 0, 0, 0)');
  const moveHead = db.prepare<[number, number, number, number, number, number]>(
    `UPDATE heads SET seq = ?, ordinal = ?, member_seq = ?, last_message_seq = ?, last_at_ms = ?
     WHERE conversation_no = ?`,
  );
  const sealHead = db.prepare<[number, string]>(
    'UPDATE heads SET sealed_seq = min(seq, max(sealed_seq, ?)) WHERE conversation_id = ?',
  );
  const missedAfter = db.prepare<[number, number], StoredRow>(
    `SELECT ${stored} FROM entries WHERE conversation_no = ? AND seq > ? ORDER BY seq LIMIT ${READ_MAX_ENTRIES}`,
  );
  const insertEntry = db.prepare(
    `INSERT INTO entries (conversation_no, seq, kind, ordinal, member_seq, at_ms, sender_id, client_id, target_seq,
                          parent_seq, deleted_at, json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertMention = db.prepare<[number, string, number, string]>('INSERT INTO mentions VALUES (?, ?, ?, ?)');
  const removeMention = db.prepare<[number, string, number]>(
    'DELETE FROM mentions WHERE conversation_no = ? AND user_id = ? AND seq = ?',
  );
  const deletedAtOf = db.prepare<[number, number], { deletedAt: string | null }>(
    'SELECT deleted_at AS deletedAt FROM entries WHERE conversation_no = ? AND seq = ?',
  );
  /** The message, if it still has content, and its edits that do. */
  const contentOf = db.prepare<[number, number, number, number], ContentRow>(
    `SELECT seq, kind, json FROM entries
     WHERE conversation_no = ? AND seq = ? AND kind = 'message' AND deleted_at IS NULL
     UNION ALL
     SELECT seq, kind, json FROM entries
     WHERE conversation_no = ? AND target_seq = ? AND kind = 'edit' AND deleted_at IS NULL`,
  );
  const block = 'FROM entries WHERE conversation_no = ? AND seq > ? AND seq <= ?';
  const indexClientIds = db.prepare<[number, number, number]>(
    `INSERT INTO client_ids SELECT conversation_no, sender_id, client_id, seq ${block} AND client_id IS NOT NULL`,
  );
  const indexOwnMessages = db.prepare<[number, number, number]>(
    `INSERT INTO own_messages SELECT conversation_no, sender_id, seq ${block}
     AND kind = 'message' AND deleted_at IS NULL`,
  );
  const removeOwnMessage = db.prepare<[number, string, number]>(
    'DELETE FROM own_messages WHERE conversation_no = ? AND sender_id = ? AND seq = ?',
  );
  const replaceContent = db.prepare<[string, string, number, number]>(
    'UPDATE entries SET deleted_at = ?, json = ? WHERE conversation_no = ? AND seq = ?',
  );

  function redactTarget(conversationNo: number, targetSeq: number, deletedAt: string): void {
    for (const row of contentOf.all(conversationNo, targetSeq, conversationNo, targetSeq)) {
      const entry = JSON.parse(row.json) as LogEntry;
      replaceContent.run(deletedAt, JSON.stringify(redact(entry, deletedAt)), conversationNo, row.seq);
      if (entry.kind !== 'message') continue;
      removeOwnMessage.run(conversationNo, entry.senderId, row.seq);
      for (const userId of [EVERYONE, ...(entry.mentions ?? [])]) removeMention.run(conversationNo, userId, row.seq);
    }
    scrubSoon();
  }

  function insert(conversationNo: number, row: EntryRow): void {
    let { json } = row;
    let deletedAt: string | null = null;
    if (row.kind === 'edit' && row.targetSeq !== null) {
      deletedAt = deletedAtOf.get(conversationNo, row.targetSeq)?.deletedAt ?? null;
      if (deletedAt !== null) json = JSON.stringify(redact(JSON.parse(json) as LogEntry, deletedAt));
    }
    insertEntry.run(
      conversationNo,
      row.seq,
      row.kind,
      row.ordinal,
      row.memberSeq,
      row.atMs,
      row.senderId,
      row.clientId,
      row.targetSeq,
      row.parentSeq,
      deletedAt,
      json,
    );
    for (const userId of row.mentions) insertMention.run(conversationNo, userId, row.seq, row.senderId);
    if (row.kind === 'delete' && row.targetSeq !== null) redactTarget(conversationNo, row.targetSeq, row.sentAt);
  }

  return {
    append(conversationId, expectedHead, rows): AppendResult {
      const found = headOf.get(conversationId);
      const before: HeadRow = found ?? EMPTY_HEAD;
      if (before.seq !== expectedHead) {
        return {
          head: plainHead(before),
          missed: found === undefined ? [] : missedAfter.all(found.conversationNo, expectedHead),
        };
      }
      const conversationNo = found?.conversationNo ?? Number(createHead.run(conversationId).lastInsertRowid);
      for (const row of rows) insert(conversationNo, row);
      const head = headAfter(before, rows);
      const indexed = indexedUpTo(conversationNo, expectedHead);
      const indexable = indexedUpTo(conversationNo, head.seq);
      if (indexable > indexed) {
        indexClientIds.run(conversationNo, indexed, indexable);
        indexOwnMessages.run(conversationNo, indexed, indexable);
      }
      moveHead.run(head.seq, head.ordinal, head.memberSeq, head.lastMessageSeq, head.lastAtMs, conversationNo);
      return { head, missed: null };
    },
    seal(positions) {
      for (const [conversationId, upTo] of positions) sealHead.run(upTo, conversationId);
    },
  };
}

function plainHead({ seq, ordinal, memberSeq, lastMessageSeq, lastAtMs, sealedSeq }: HeadRow): HeadRow {
  return { seq, ordinal, memberSeq, lastMessageSeq, lastAtMs, sealedSeq };
}

function headAfter(before: HeadRow, rows: readonly EntryRow[]): HeadRow {
  const last = rows.at(-1);
  if (last === undefined) return before;
  return {
    seq: last.seq,
    ordinal: last.ordinal,
    memberSeq: last.memberSeq,
    lastMessageSeq: rows.findLast((row) => row.kind === 'message')?.seq ?? before.lastMessageSeq,
    lastAtMs: last.atMs,
    sealedSeq: before.sealedSeq,
  };
}
