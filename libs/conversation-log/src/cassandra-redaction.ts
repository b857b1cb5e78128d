import type { LogEntry, StoredEntry } from '@parley/contracts';

import { redact } from './conversation-log.js';
import type { EntryRow } from './cassandra-rows.js';

/** What the log has of a message that a delete or an edit refers to. */
export interface TargetFacts {
  /** The message; absent when the position holds none. */
  readonly message: LogEntry | undefined;
  readonly edits: readonly LogEntry[];
  /** `sentAt` of the first delete that the log has of it. */
  readonly deletedAt: string | undefined;
}

/** A row that loses its content. */
export interface Redaction {
  readonly seq: number;
  readonly deletedAt: string;
  readonly json: string;
}

export interface RedactionPlan {
  /** The rows to append, without the content that others of them, or earlier deletes, take away. */
  readonly rows: readonly EntryRow[];
  /** Rows in the log that lose their content. */
  readonly redactions: readonly Redaction[];
}

/** Positions up to `head` that deletes and edits among `rows` refer to: what the plan needs facts of. */
export function redactionTargets(rows: readonly EntryRow[], head: number): number[] {
  const targets = new Set<number>();
  for (const { kind, targetSeq } of rows) {
    if ((kind === 'delete' || kind === 'edit') && targetSeq !== undefined && targetSeq <= head) targets.add(targetSeq);
  }
  return [...targets];
}

/** What rows appended after `head` do to content: theirs, and that of the log. */
export function planRedactions(
  rows: readonly EntryRow[],
  head: number,
  facts: ReadonlyMap<number, TargetFacts>,
): RedactionPlan {
  const planned = [...rows];
  const redactions = new Map<number, Redaction>();
  const deletedAt = new Map<number, string>();
  for (const [target, fact] of facts) if (fact.deletedAt !== undefined) deletedAt.set(target, fact.deletedAt);

  const isMessage = (target: number): boolean =>
    target > head ? rows[target - head - 1]?.kind === 'message' : facts.get(target)?.message !== undefined;

  rows.forEach((row, index) => {
    const target = row.targetSeq;
    if (target === undefined || (row.kind !== 'delete' && row.kind !== 'edit') || !isMessage(target)) return;
    if (target >= row.seq) return;
    if (row.kind === 'edit') {
      const at = deletedAt.get(target);
      if (at !== undefined) planned[index] = withoutContent(row, at);
      return;
    }
    const at = deletedAt.get(target) ?? (JSON.parse(row.json) as LogEntry).sentAt;
    deletedAt.set(target, at);
    for (const redaction of redactionsOf(facts.get(target), at)) redactions.set(redaction.seq, redaction);
    for (let earlier = 0; earlier < index; earlier += 1) {
      const candidate = planned[earlier];
      if (candidate === undefined || candidate.deletedAt !== undefined) continue;
      const isItsEdit = candidate.kind === 'edit' && candidate.targetSeq === target;
      if (candidate.seq === target || isItsEdit) planned[earlier] = withoutContent(candidate, at);
    }
  });
  return { rows: planned, redactions: [...redactions.values()] };
}

/** Of a deleted message: it and its edits, as far as they still have content. */
export function redactionsOf(facts: TargetFacts | undefined, deletedAt: string): Redaction[] {
  if (facts?.message === undefined) return [];
  return [facts.message, ...facts.edits].flatMap((entry) =>
    'deletedAt' in entry && entry.deletedAt !== undefined
      ? []
      : [{ seq: entry.seq, deletedAt, json: JSON.stringify(redact(entry, deletedAt)) }],
  );
}

function withoutContent(row: EntryRow, deletedAt: string): EntryRow {
  const entry = redact(JSON.parse(row.json) as LogEntry, deletedAt);
  return { ...row, deletedAt, mentions: [], json: JSON.stringify(entry) };
}

/**
 * Entries read together, with the deletes among them applied: a reader that sees a delete never sees what it took
 * away, also while the delete's redaction of another partition is still under way.
 */
export function withoutDeleted(stored: readonly StoredEntry[]): readonly StoredEntry[] {
  const deletedAt = new Map<number, string>();
  for (const { entry } of stored) {
    if (entry.kind === 'delete' && !deletedAt.has(entry.targetSeq)) deletedAt.set(entry.targetSeq, entry.sentAt);
  }
  if (deletedAt.size === 0) return stored;
  return stored.map((each) => {
    const { entry } = each;
    if (entry.kind !== 'message' && entry.kind !== 'edit') return each;
    const at = deletedAt.get(entry.kind === 'edit' ? entry.targetSeq : entry.seq);
    if (at === undefined || entry.deletedAt !== undefined) return each;
    const redacted = redact(entry, at);
    return { ...each, entry: redacted, json: JSON.stringify(redacted) };
  });
}
