/**
 * What crosses between the main thread and the SQLite workers: calls of these methods with plain arguments, answered by
 * plain results. The workers see columns and JSON text; only the main thread knows entries.
 */

/** One entry as the writer stores it. */
export interface EntryRow {
  readonly seq: number;
  readonly kind: string;
  readonly senderId: string;
  readonly clientId: string | null;
  readonly targetSeq: number | null;
  readonly parentSeq: number | null;
  readonly ordinal: number;
  readonly memberSeq: number;
  readonly sentAt: string;
  readonly atMs: number;
  /** User ids without repetition, or EVERYONE alone; empty for none. */
  readonly mentions: readonly string[];
  readonly json: string;
}

/** Stands for a mention of everyone in the mentions table; no user id, as those have no `*`. */
export const EVERYONE = '*';

export interface StoredRow {
  readonly ordinal: number;
  readonly memberSeq: number;
  readonly json: string;
}

export interface HeadRow {
  readonly seq: number;
  readonly ordinal: number;
  readonly memberSeq: number;
  readonly lastMessageSeq: number;
  readonly lastAtMs: number;
  readonly sealedSeq: number;
}

/** `missed` is null when the append went in. */
export interface AppendResult {
  readonly head: HeadRow;
  readonly missed: readonly StoredRow[] | null;
}

export interface ReplySummaryRow {
  readonly parentSeq: number;
  readonly count: number;
  readonly lastAtMs: number;
  readonly participants: readonly string[];
}

export interface WriterCalls {
  append(conversationId: string, expectedHead: number, rows: readonly EntryRow[]): AppendResult;
  seal(positions: readonly (readonly [conversationId: string, upTo: number])[]): void;
}

export interface ReaderCalls {
  /** In order of the ids; null for a conversation without entries. */
  heads(conversationIds: readonly string[]): readonly (HeadRow | null)[];
  read(conversationId: string, after: number, upTo: number, limit: number): readonly StoredRow[];
  readMessages(
    conversationId: string,
    after: number,
    before: number,
    take: 'first' | 'last',
    limit: number,
  ): readonly StoredRow[];
  readChanges(conversationId: string, from: number, to: number): readonly StoredRow[];
  readReplies(conversationId: string, parentSeq: number, after: number, limit: number): readonly StoredRow[];
  replySummaries(conversationId: string, parentSeqs: readonly number[]): readonly ReplySummaryRow[];
  readPins(conversationId: string, limit: number): readonly StoredRow[];
  /** In order of the keys; null for one that was not found. */
  findClientIds(
    conversationId: string,
    keys: readonly (readonly [senderId: string, clientId: string])[],
    sinceMs: number,
  ): readonly (StoredRow | null)[];
  /** In order of the requests: unread and mentions of each. */
  tally(
    requests: readonly (readonly [conversationId: string, userId: string, afterSeq: number])[],
  ): readonly (readonly [unread: number, mentions: number])[];
  unsealed(limit: number): readonly string[];
}

/** One call on its way to a worker. */
export type Call = readonly [method: string, args: readonly unknown[]];
export type CallResult =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

export type ToWorker = { readonly kind: 'calls'; readonly calls: readonly Call[] } | { readonly kind: 'close' };
export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'results'; readonly results: readonly CallResult[] };

/** What a worker does with a batch, in its role. */
export interface BatchServer {
  run(calls: readonly Call[]): readonly CallResult[];
  close(): void;
}

export interface SqliteWorkerData {
  readonly role: 'writer' | 'reader';
  readonly file: string;
}
