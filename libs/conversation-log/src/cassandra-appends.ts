import type { types } from 'cassandra-driver';

import { type ConversationId, type Seq, type StoredEntry } from '@parley/contracts';

import { type AppendOutcome, type LogHead, READ_MAX_ENTRIES } from './conversation-log.js';
import type { Entries } from './cassandra-entries.js';
import type { Heads } from './cassandra-heads.js';
import type { Journal } from './cassandra-journal.js';
import {
  planRedactions,
  type Redaction,
  type RedactionPlan,
  redactionTargets,
  withoutDeleted,
  redactionsOf,
} from './cassandra-redaction.js';
import type { Refs } from './cassandra-refs.js';
import {
  bucketOf,
  ENTRY_COLUMNS,
  entryParams,
  type EntryRow,
  headAfter,
  lastOfBucket,
  numberIn,
  toRow,
} from './cassandra-rows.js';
import { asUnavailable, isRefusal, type Statement, type Statements } from './cassandra-statements.js';
import { inParallel } from './gate.js';

const REDACTIONS_IN_FLIGHT = 8;

const MOVE_HEAD = `UPDATE log_entries SET head_seq = ?, head_ordinal = ?, head_member_seq = ?, head_message_seq = ?, head_at_ms = ?
                   WHERE conversation_id = ? AND bucket = ? IF head_seq = ?`;
const INSERT_ENTRY = `INSERT INTO log_entries (${ENTRY_COLUMNS.join(', ')})
                      VALUES (${ENTRY_COLUMNS.map(() => '?').join(', ')})`;
const REDACT = `UPDATE log_entries SET json = ?, deleted_at = ?, mentions = null
                WHERE conversation_id = ? AND bucket = ? AND seq = ?`;
const SET_NEWEST = 'INSERT INTO conversations (conversation_id, newest_bucket) VALUES (?, ?) USING TIMESTAMP ?';

export interface AppendPorts {
  readonly statements: Statements;
  readonly heads: Heads;
  readonly entries: Entries;
  readonly refs: Refs;
  readonly journal: Journal;
  readonly bucketEntries: number;
  readonly newAppendId: () => string;
  /** Called once everything that an append has to do is done. */
  readonly appended: (conversationId: ConversationId, expectedHead: Seq, rows: readonly EntryRow[]) => void;
}

type Decision = 'applied' | 'refused';

/**
 * The conditional batch: the head's static columns move if they are where the caller believes, and the entries are
 * inserted beside them; one partition, so all or nothing.
 *
 * Redaction. Because an append only succeeds at the head that it was planned for, what it has to redact is read before
 * and is then exact. Rows of the same partition are redacted in the batch itself. Those of other partitions are
 * redacted after it and before the append answers; if the process dies in between, the delete is in the log and
 * unsealed, so whoever loads the conversation, or finds it through the journal, seals it, and sealing redacts what is
 * still there (`Appends.repair`). Until then a read that covers the delete hides what it took away. Each redaction is
 * conditional too, because the entries' cells carry timestamps of conditional writes, which a plain write of a machine
 * with a slow clock would not overwrite.
 */
export class Appends {
  readonly #ports: AppendPorts;

  constructor(ports: AppendPorts) {
    this.#ports = ports;
  }

  async append(
    conversationId: ConversationId,
    expectedHead: Seq,
    entries: readonly StoredEntry[],
    writer: string,
  ): Promise<AppendOutcome> {
    const { heads, refs, journal, bucketEntries } = this.#ports;
    const known = heads.known(conversationId);
    const before = known?.seq === expectedHead ? known : await heads.read(conversationId);
    if (before.seq !== expectedHead) return this.#conflict(conversationId, expectedHead);

    const rows = entries.map(toRow);
    const targets = redactionTargets(rows, expectedHead);
    const bucket = bucketOf(expectedHead + 1, bucketEntries);
    const opening = bucket > 0 && expectedHead === lastOfBucket(bucket - 1, bucketEntries);
    const [facts] = await Promise.all([
      targets.length === 0 ? new Map<number, never>() : refs.targetFacts(conversationId, targets),
      refs.write(conversationId, rows),
      opening ? this.#announceBucket(conversationId, bucket) : undefined,
    ]);
    const plan = planRedactions(rows, expectedHead, facts);

    const head = headAfter(before, plan.rows);
    const journaled = journal.begin(writer, conversationId);
    let mayBeUpTo: Seq | null = head.seq;
    try {
      const [decided, found] = await Promise.allSettled([
        this.#decide(conversationId, before, head, plan, opening),
        journaled.found,
      ]);
      if (decided.status === 'rejected') throw decided.reason;
      if (decided.value === 'refused') {
        mayBeUpTo = null;
        return await this.#conflict(conversationId, expectedHead);
      }
      heads.learn(conversationId, head);
      const elsewhere = plan.redactions.filter(({ seq }) => bucketOf(seq, bucketEntries) !== bucket);
      await this.#redact(conversationId, elsewhere);
      if (found.status === 'rejected') throw found.reason;
      this.#ports.appended(conversationId, expectedHead, plan.rows);
      return { kind: 'appended', head };
    } finally {
      journaled.end(mayBeUpTo);
    }
  }

  /** Redacts what entries in the log demand and an append that did not come to its end may have left undone. */
  async repair(conversationId: ConversationId, entries: readonly StoredEntry[]): Promise<void> {
    const targets = new Set<number>();
    for (const { entry } of entries) {
      const changesContent = entry.kind === 'delete' || entry.kind === 'edit';
      if (changesContent && entry.targetSeq < entry.seq) targets.add(entry.targetSeq);
    }
    if (targets.size === 0) return;
    const facts = await this.#ports.refs.targetFacts(conversationId, [...targets]);
    const redactions = [...facts.values()].flatMap((fact) =>
      fact.deletedAt === undefined ? [] : redactionsOf(fact, fact.deletedAt),
    );
    await this.#redact(conversationId, redactions);
  }

  /** Sends the batch; if its answer does not come, asks what became of it. */
  async #decide(
    conversationId: ConversationId,
    before: LogHead,
    head: LogHead,
    { rows, redactions }: RedactionPlan,
    opening: boolean,
  ): Promise<Decision> {
    const { statements, bucketEntries } = this.#ports;
    const bucket = bucketOf(before.seq + 1, bucketEntries);
    const appendId = this.#ports.newAppendId();
    const condition = before.seq === 0 || opening ? null : before.seq;
    const { seq, ordinal, memberSeq, lastMessageSeq, lastAtMs } = head;
    const batch: Statement[] = [
      {
        query: MOVE_HEAD,
        params: [seq, ordinal, memberSeq, lastMessageSeq, lastAtMs, conversationId, bucket, condition],
      },
      ...rows.map((row, index) => ({
        query: INSERT_ENTRY,
        params: entryParams(conversationId, bucket, row, index === 0 ? appendId : undefined),
      })),
      ...redactions
        .filter((redaction) => bucketOf(redaction.seq, bucketEntries) === bucket)
        .map((redaction) => this.#redaction(conversationId, redaction)),
    ];
    try {
      if (await statements.conditional(batch)) return 'applied';
    } catch (error) {
      if (isRefusal(error)) throw error;
      return this.#resolve(conversationId, before.seq, appendId, error);
    }
    // The driver sends a batch again that a node would not take, which does not always mean that it was not written.
    const plainly = (query: string, params: unknown[]) => statements.rows(query, params);
    return (await this.#isWritten(conversationId, before.seq, appendId, plainly)) === true ? 'applied' : 'refused';
  }

  /**
   * The outcome of a batch that was not answered. Not there does not mean never: the node that has it may still be
   * trying. So that is no conflict, but an append that may have happened.
   */
  async #resolve(
    conversationId: ConversationId,
    expectedHead: Seq,
    appendId: string,
    error: unknown,
  ): Promise<Decision> {
    const { statements } = this.#ports;
    const serially = (query: string, params: unknown[]) => statements.serialRows(query, params);
    const written = await this.#isWritten(conversationId, expectedHead, appendId, serially);
    if (written === undefined) throw asUnavailable(error);
    return written ? 'applied' : 'refused';
  }

  /** Whether the entry after `expectedHead` is of this append; `undefined` if there is none. */
  async #isWritten(
    conversationId: ConversationId,
    expectedHead: Seq,
    appendId: string,
    read: (query: string, params: unknown[]) => Promise<types.Row[]>,
  ): Promise<boolean | undefined> {
    const at = expectedHead + 1;
    const [row] = await read(
      'SELECT seq, append_id FROM log_entries WHERE conversation_id = ? AND bucket = ? AND seq = ?',
      [conversationId, bucketOf(at, this.#ports.bucketEntries), at],
    );
    if (row === undefined || numberIn(row, 'seq') === undefined) return undefined;
    return String(row.get('append_id')) === appendId;
  }

  async #conflict(conversationId: ConversationId, expectedHead: Seq): Promise<AppendOutcome> {
    const { heads, entries } = this.#ports;
    const head = await heads.read(conversationId);
    const missed = await entries.range(conversationId, expectedHead, head.seq, READ_MAX_ENTRIES);
    return { kind: 'conflict', head, missed: withoutDeleted(missed) };
  }

  /** Only ever forward: the number is the write's timestamp. */
  #announceBucket(conversationId: ConversationId, bucket: number): Promise<void> {
    return this.#ports.statements.write({ query: SET_NEWEST, params: [conversationId, bucket, bucket] });
  }

  async #redact(conversationId: ConversationId, redactions: readonly Redaction[]): Promise<void> {
    await inParallel(redactions, REDACTIONS_IN_FLIGHT, async (redaction) => {
      const { query, params } = this.#redaction(conversationId, redaction);
      try {
        // Not applied means that it was redacted before, perhaps by an attempt of ours: as good.
        await this.#ports.statements.conditional([{ query: `${query} IF deleted_at = null`, params }]);
      } catch (error) {
        throw asUnavailable(error);
      }
    });
  }

  #redaction(conversationId: ConversationId, { seq, deletedAt, json }: Redaction): Statement {
    return {
      query: REDACT,
      params: [json, deletedAt, conversationId, bucketOf(seq, this.#ports.bucketEntries), seq],
    };
  }
}
