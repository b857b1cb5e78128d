import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import {
  type ConversationId,
  type LogEntry,
  MENTION_ALL,
  ParleyError,
  type Seq,
  seq,
  type StoredEntry,
  targetSeqOf,
  type UserId,
} from '@parley/contracts';

import {
  APPEND_MAX_ENTRIES,
  type AppendOutcome,
  type ClientKey,
  clientKey,
  type ConversationLog,
  EMPTY_HEAD,
  type LogHead,
  READ_MAX_ENTRIES,
  type ReplySummary,
  type Tally,
  type TallyRequest,
} from './conversation-log.js';
import {
  type EntryRow,
  EVERYONE,
  type HeadRow,
  type ReaderCalls,
  type SqliteWorkerData,
  type StoredRow,
  type WriterCalls,
} from './sqlite-calls.js';
import { WorkerLane } from './worker-lane.js';

export interface SqliteConversationLogConfig {
  /** Folder of the database files; made when it is not there. */
  readonly directory: string;
  /** Appends that may wait for the writer; beyond, they are refused with `overloaded`. */
  readonly appendQueueMax?: number;
}

const FILE_NAME = 'conversation-log.db';
const APPEND_QUEUE_MAX = 20_000;
const READ_QUEUE_MAX = 10_000;
const QUEUE_MAX_BYTES = 64 * 1024 * 1024;
/** Of one commit, so that a lone append behind a flood of large ones waits tens of milliseconds, not seconds. */
const BATCH_MAX_BYTES = 4 * 1024 * 1024;
/** What a read counts for in the bounds, so that one snapshot serves at most a thousand and then ends. */
const READ_WEIGHT_BYTES = 4 * 1024;
/** Of an entry besides its JSON. */
const ENTRY_OVERHEAD_BYTES = 256;
const RESTART_AFTER_MS = 1_000;
/** Heads, tallies and reply summaries in one call. */
const LOOKUPS_MAX = 10_000;
/** Seals are lazily durable: they ride with the next append, or alone after this time. */
const SEAL_AFTER_MS = 1_000;
/** Beyond this many conversations that could not be sealed the oldest is forgotten: its tail is published again. */
const SEALS_MAX = 50_000;

/**
 * The log in one SQLite file, written and read on two worker threads so that neither an fsync nor a long read stops
 * the event loop, and no read waits for a commit. An `appended` outcome was fsynced: it survives a power cut.
 */
export class SqliteConversationLog implements ConversationLog {
  readonly #writer: WorkerLane<WriterCalls>;
  readonly #reader: WorkerLane<ReaderCalls>;
  /** Positions that the file does not have yet. */
  readonly #seals = new Map<string, number>();
  #sealTimer: NodeJS.Timeout | null = null;

  private constructor(writer: WorkerLane<WriterCalls>, reader: WorkerLane<ReaderCalls>) {
    this.#writer = writer;
    this.#reader = reader;
  }

  static async open(config: SqliteConversationLogConfig): Promise<SqliteConversationLog> {
    const file = join(config.directory, FILE_NAME);
    await mkdir(config.directory, { recursive: true }).catch((error: unknown) => {
      throw new ParleyError('unavailable', `The conversation log's folder cannot be used: ${String(error)}`);
    });
    const lane = (role: SqliteWorkerData['role'], queueMaxCalls: number) => ({
      program: './sqlite-worker',
      workerData: { role, file } satisfies SqliteWorkerData,
      name: `conversation log's ${role}`,
      queueMaxCalls,
      queueMaxBytes: QUEUE_MAX_BYTES,
      batchMaxBytes: BATCH_MAX_BYTES,
      restartAfterMs: RESTART_AFTER_MS,
      nowMs: () => performance.now(),
    });
    const writer = await WorkerLane.open<WriterCalls>(lane('writer', config.appendQueueMax ?? APPEND_QUEUE_MAX));
    try {
      return new SqliteConversationLog(writer, await WorkerLane.open<ReaderCalls>(lane('reader', READ_QUEUE_MAX)));
    } catch (error) {
      await writer.close();
      throw error;
    }
  }

  async head(conversationId: ConversationId): Promise<LogHead> {
    return (await this.heads([conversationId])).get(conversationId) ?? EMPTY_HEAD;
  }

  async heads(conversationIds: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, LogHead>> {
    assertAtMost(conversationIds.length, LOOKUPS_MAX, 'heads');
    const rows = await this.#read('heads', [conversationIds]);
    const heads = new Map<ConversationId, LogHead>();
    conversationIds.forEach((conversationId, index) => {
      const row = rows[index];
      if (row !== undefined && row !== null) heads.set(conversationId, this.#toHead(conversationId, row));
    });
    return heads;
  }

  /** All entries of an append are in one commit, wherever they are. */
  appendLimit(): number {
    return APPEND_MAX_ENTRIES;
  }

  async append(
    conversationId: ConversationId,
    expectedHead: Seq,
    entries: readonly StoredEntry[],
  ): Promise<AppendOutcome> {
    if (entries.length === 0) throw new RangeError('An append has at least one entry');
    assertAtMost(entries.length, APPEND_MAX_ENTRIES, 'entries in an append');
    const rows = entries.map((stored, index) => {
      if (stored.entry.seq !== expectedHead + 1 + index) {
        throw new RangeError(
          `Entry ${index} of the append has seq ${stored.entry.seq}, not ${expectedHead + 1 + index}`,
        );
      }
      return toRow(stored);
    });
    const bytes = rows.reduce((sum, row) => sum + row.json.length + ENTRY_OVERHEAD_BYTES, 0);
    void this.#flushSeals();
    const { head, missed } = await this.#writer.call('append', [conversationId, expectedHead, rows], bytes);
    return missed === null
      ? { kind: 'appended', head: this.#toHead(conversationId, head) }
      : { kind: 'conflict', head: this.#toHead(conversationId, head), missed: missed.map(toStored) };
  }

  async read(
    conversationId: ConversationId,
    range: { readonly after: Seq; readonly upTo?: Seq; readonly limit: number },
  ): Promise<readonly StoredEntry[]> {
    assertAtMost(range.limit, READ_MAX_ENTRIES, 'entries in an answer');
    const upTo = range.upTo ?? Number.MAX_SAFE_INTEGER;
    return (await this.#read('read', [conversationId, range.after, upTo, range.limit])).map(toStored);
  }

  async readMessages(
    conversationId: ConversationId,
    range: { readonly after: Seq; readonly before?: Seq; readonly take: 'first' | 'last'; readonly limit: number },
  ): Promise<readonly StoredEntry[]> {
    assertAtMost(range.limit, READ_MAX_ENTRIES, 'entries in an answer');
    const { after, before = Number.MAX_SAFE_INTEGER, take, limit } = range;
    return (await this.#read('readMessages', [conversationId, after, before, take, limit])).map(toStored);
  }

  async readChanges(
    conversationId: ConversationId,
    targets: { readonly from: Seq; readonly to: Seq },
  ): Promise<readonly StoredEntry[]> {
    return (await this.#read('readChanges', [conversationId, targets.from, targets.to])).map(toStored);
  }

  async readReplies(
    conversationId: ConversationId,
    parentSeq: Seq,
    range: { readonly after: Seq; readonly limit: number },
  ): Promise<readonly StoredEntry[]> {
    assertAtMost(range.limit, READ_MAX_ENTRIES, 'entries in an answer');
    const rows = await this.#read('readReplies', [conversationId, parentSeq, range.after, range.limit]);
    return rows.map(toStored);
  }

  async replySummaries(
    conversationId: ConversationId,
    parentSeqs: readonly Seq[],
  ): Promise<ReadonlyMap<Seq, ReplySummary>> {
    assertAtMost(parentSeqs.length, LOOKUPS_MAX, 'reply summaries');
    const rows = await this.#read('replySummaries', [conversationId, parentSeqs]);
    return new Map(
      rows.map((row) => [
        seq(row.parentSeq),
        {
          count: row.count,
          lastReplyAt: new Date(row.lastAtMs).toISOString(),
          participants: row.participants as readonly UserId[],
        },
      ]),
    );
  }

  async readPins(conversationId: ConversationId): Promise<readonly StoredEntry[]> {
    return (await this.#read('readPins', [conversationId, READ_MAX_ENTRIES])).map(toStored);
  }

  async findClientIds(
    conversationId: ConversationId,
    keys: readonly ClientKey[],
    sinceMs: number,
  ): Promise<ReadonlyMap<string, StoredEntry>> {
    assertAtMost(keys.length, APPEND_MAX_ENTRIES, 'client ids');
    const pairs = keys.map(({ senderId, clientId }) => [senderId, clientId] as const);
    const rows = await this.#read('findClientIds', [conversationId, pairs, sinceMs]);
    const found = new Map<string, StoredEntry>();
    keys.forEach((key, index) => {
      const row = rows[index];
      if (row !== undefined && row !== null) found.set(clientKey(key), toStored(row));
    });
    return found;
  }

  async tally(requests: readonly TallyRequest[]): Promise<readonly Tally[]> {
    assertAtMost(requests.length, LOOKUPS_MAX, 'tallies');
    const plain = requests.map(({ conversationId, userId, afterSeq }) => [conversationId, userId, afterSeq] as const);
    return (await this.#read('tally', [plain])).map(([unread, mentions]) => ({ unread, mentions }));
  }

  seal(conversationId: ConversationId, upTo: Seq): Promise<void> {
    this.#seals.set(conversationId, Math.max(upTo, this.#seals.get(conversationId) ?? 0));
    if (this.#seals.size > SEALS_MAX) this.#seals.delete(this.#seals.keys().next().value ?? '');
    this.#sealTimer ??= setTimeout(() => void this.#flushSeals(), SEAL_AFTER_MS).unref();
    return Promise.resolve();
  }

  /** Of all writers: there is one process, and those before it are gone. */
  async unsealed(limit: number): Promise<readonly ConversationId[]> {
    await this.#flushSeals();
    return (await this.#read('unsealed', [limit])) as readonly ConversationId[];
  }

  async close(): Promise<void> {
    await this.#flushSeals();
    await this.#reader.close();
    await this.#writer.close();
  }

  #read<M extends keyof ReaderCalls>(method: M, args: Parameters<ReaderCalls[M]>): Promise<ReturnType<ReaderCalls[M]>> {
    return this.#reader.call(method, args, READ_WEIGHT_BYTES);
  }

  async #flushSeals(): Promise<void> {
    if (this.#sealTimer !== null) clearTimeout(this.#sealTimer);
    this.#sealTimer = null;
    if (this.#seals.size === 0) return;
    const positions = [...this.#seals];
    try {
      await this.#writer.call('seal', [positions]);
      for (const [id, upTo] of positions) if (this.#seals.get(id) === upTo) this.#seals.delete(id);
    } catch (error) {
      // A seal that is lost is a tail that is published twice; the positions stay here and ride with a later one.
      if (!(error instanceof ParleyError)) throw error;
    }
  }

  #toHead(conversationId: string, row: HeadRow): LogHead {
    const sealed = Math.min(row.seq, Math.max(row.sealedSeq, this.#seals.get(conversationId) ?? 0));
    return {
      seq: seq(row.seq),
      ordinal: row.ordinal,
      memberSeq: seq(row.memberSeq),
      lastMessageSeq: seq(row.lastMessageSeq),
      lastAtMs: row.lastAtMs,
      sealedSeq: seq(sealed),
    };
  }
}

function toStored(row: StoredRow): StoredEntry {
  return {
    entry: JSON.parse(row.json) as LogEntry,
    json: row.json,
    ordinal: row.ordinal,
    memberSeq: seq(row.memberSeq),
  };
}

function toRow({ entry, json, ordinal, memberSeq }: StoredEntry): EntryRow {
  const message = entry.kind === 'message' ? entry : undefined;
  return {
    seq: entry.seq,
    kind: entry.kind,
    senderId: entry.senderId,
    clientId: message?.clientId ?? null,
    targetSeq: targetSeqOf(entry) ?? null,
    parentSeq: message?.parentSeq ?? null,
    ordinal,
    memberSeq,
    sentAt: entry.sentAt,
    atMs: Date.parse(entry.sentAt),
    mentions: mentionKeys(message?.mentions ?? []),
    json,
  };
}

function mentionKeys(mentions: readonly string[]): readonly string[] {
  return mentions.some((mention) => MENTION_ALL.has(mention)) ? [EVERYONE] : [...new Set(mentions)];
}

function assertAtMost(count: number, max: number, what: string): void {
  if (!(count <= max)) throw new RangeError(`At most ${max} ${what}, not ${count}`);
}
