import type { types } from 'cassandra-driver';

import { type LogEntry, type Seq, seq, type StoredEntry, targetSeqOf } from '@parley/contracts';

import { EMPTY_HEAD, type LogHead } from './conversation-log.js';

/** Entries of a partition: at some 500 bytes each 2.5 MB, a hundredth of what a partition may have without harm. */
export const BUCKET_ENTRIES = 5_000;

/** The partition of a position: `seq` alone decides. */
export function bucketOf(at: number, size: number): number {
  return Math.floor((at - 1) / size);
}

export function lastOfBucket(bucket: number, size: number): number {
  return (bucket + 1) * size;
}

/** One entry as its row has it. */
export interface EntryRow {
  readonly seq: number;
  readonly kind: LogEntry['kind'];
  readonly senderId: string;
  readonly clientId: string | undefined;
  readonly targetSeq: number | undefined;
  readonly parentSeq: number | undefined;
  readonly ordinal: number;
  readonly memberSeq: number;
  readonly atMs: number;
  readonly deletedAt: string | undefined;
  readonly mentions: readonly string[];
  readonly json: string;
}

export function toRow({ entry, json, ordinal, memberSeq }: StoredEntry): EntryRow {
  const message = entry.kind === 'message' ? entry : undefined;
  return {
    seq: entry.seq,
    kind: entry.kind,
    senderId: entry.senderId,
    clientId: message?.clientId,
    targetSeq: targetSeqOf(entry),
    parentSeq: message?.parentSeq,
    ordinal,
    memberSeq,
    atMs: Date.parse(entry.sentAt),
    deletedAt: 'deletedAt' in entry ? entry.deletedAt : undefined,
    mentions: message?.mentions ?? [],
    json,
  };
}

/** Columns of an entry's row, in the order of `entryParams`. */
export const ENTRY_COLUMNS = [
  'conversation_id',
  'bucket',
  'seq',
  'kind',
  'sender_id',
  'client_id',
  'target_seq',
  'parent_seq',
  'ordinal',
  'member_seq',
  'at_ms',
  'deleted_at',
  'mentions',
  'json',
  'append_id',
] as const;

/** `undefined` is sent as "unset": a null would leave a tombstone in every row. */
export function entryParams(
  conversationId: string,
  bucket: number,
  row: EntryRow,
  appendId: string | undefined,
): unknown[] {
  return [
    conversationId,
    bucket,
    row.seq,
    row.kind,
    row.senderId,
    row.clientId,
    row.targetSeq,
    row.parentSeq,
    row.ordinal,
    row.memberSeq,
    row.atMs,
    row.deletedAt,
    row.mentions.length === 0 ? undefined : row.mentions,
    row.json,
    appendId,
  ];
}

/** A column's number; `undefined` where it was never written. */
export function numberIn(row: types.Row, column: string): number | undefined {
  const value: unknown = row.get(column);
  if (typeof value === 'number') return value;
  if (isLong(value)) return value.toNumber();
  if (value === null || value === undefined) return undefined;
  throw new TypeError(`Column ${column} holds no number`);
}

export function textIn(row: types.Row, column: string): string | undefined {
  const value: unknown = row.get(column);
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return undefined;
  throw new TypeError(`Column ${column} holds no text`);
}

export function textsIn(row: types.Row, column: string): readonly string[] {
  const value: unknown = row.get(column);
  return Array.isArray(value) ? value.map(String) : [];
}

function isLong(value: unknown): value is { toNumber(): number } {
  return typeof value === 'object' && value !== null && 'toNumber' in value && typeof value.toNumber === 'function';
}

export const STORED_COLUMNS = 'seq, ordinal, member_seq, json';

export function toStored(row: types.Row): StoredEntry {
  const json = textIn(row, 'json') ?? '';
  return {
    entry: JSON.parse(json) as LogEntry,
    json,
    ordinal: numberIn(row, 'ordinal') ?? 0,
    memberSeq: seqIn(row, 'member_seq'),
  };
}

export function seqIn(row: types.Row, column: string): Seq {
  return seq(numberIn(row, column) ?? 0);
}

export const HEAD_COLUMNS = 'head_seq, head_ordinal, head_member_seq, head_message_seq, head_at_ms';

/** The head as a partition's static columns say it; the sealed position is kept elsewhere. */
export function toHead(row: types.Row): LogHead | undefined {
  const at = numberIn(row, 'head_seq');
  if (at === undefined) return undefined;
  return {
    seq: seq(at),
    ordinal: numberIn(row, 'head_ordinal') ?? 0,
    memberSeq: seqIn(row, 'head_member_seq'),
    lastMessageSeq: seqIn(row, 'head_message_seq'),
    lastAtMs: numberIn(row, 'head_at_ms') ?? 0,
    sealedSeq: EMPTY_HEAD.sealedSeq,
  };
}

/** The head once `rows` follow `before`. */
export function headAfter(before: LogHead, rows: readonly EntryRow[]): LogHead {
  const last = rows.at(-1);
  if (last === undefined) return before;
  return {
    seq: seq(last.seq),
    ordinal: last.ordinal,
    memberSeq: seq(last.memberSeq),
    lastMessageSeq: seq(rows.findLast(({ kind }) => kind === 'message')?.seq ?? before.lastMessageSeq),
    lastAtMs: last.atMs,
    sealedSeq: before.sealedSeq,
  };
}
