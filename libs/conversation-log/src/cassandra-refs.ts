import type { types } from 'cassandra-driver';

import { type ConversationId, type LogEntry, type Seq, seq, type StoredEntry, type UserId } from '@parley/contracts';

import { READ_MAX_ENTRIES, type ReplySummary } from './conversation-log.js';
import type { Entries } from './cassandra-entries.js';
import type { Heads } from './cassandra-heads.js';
import type { TargetFacts } from './cassandra-redaction.js';
import { bucketOf, type EntryRow, numberIn, seqIn, STORED_COLUMNS, textIn, toStored } from './cassandra-rows.js';
import type { Statement, Statements } from './cassandra-statements.js';
import { inParallel } from './gate.js';

const IN_FLIGHT = 8;
const PARENTS_IN_A_STATEMENT = 100;
const PARTICIPANTS_MAX = 50;

const CHANGE = 'c';
const REPLY = 'r';
const INSERT_REF = 'INSERT INTO refs (conversation_id, kind, bucket, ref_seq, seq) VALUES (?, ?, ?, ?, ?)';
const INSERT_PIN = 'INSERT INTO pins (conversation_id, seq) VALUES (?, ?)';

/**
 * Which entries refer to which: changes and replies by what they refer to, and pins. Rows are written before the
 * entries, so that no entry is ever without its own, whatever breaks in between; those of entries that then were not
 * appended point to nothing, or to others' entries. So a row here is only a place to look, and the entry found there
 * says whether it is one.
 */
export class Refs {
  readonly #statements: Statements;
  readonly #entries: Entries;
  readonly #heads: Heads;
  readonly #size: number;

  constructor(statements: Statements, entries: Entries, heads: Heads, bucketEntries: number) {
    this.#statements = statements;
    this.#entries = entries;
    this.#heads = heads;
    this.#size = bucketEntries;
  }

  async write(conversationId: ConversationId, rows: readonly EntryRow[]): Promise<void> {
    const partitions = new Map<string, Statement[]>();
    const add = (partition: string, statement: Statement): void => {
      const beside = partitions.get(partition);
      if (beside === undefined) partitions.set(partition, [statement]);
      else beside.push(statement);
    };
    const refer = (kind: string, refSeq: number, at: number): void => {
      const bucket = bucketOf(refSeq, this.#size);
      add(`${kind}${bucket}`, { query: INSERT_REF, params: [conversationId, kind, bucket, refSeq, at] });
    };
    for (const { kind, seq: at, targetSeq, parentSeq } of rows) {
      if (targetSeq !== undefined) refer(CHANGE, targetSeq, at);
      if (parentSeq !== undefined) refer(REPLY, parentSeq, at);
      if (kind === 'pin') add('pins', { query: INSERT_PIN, params: [conversationId, at] });
    }
    await inParallel([...partitions.values()], IN_FLIGHT, (statements) => this.#statements.writeAll(statements));
  }

  /** Entries that change messages in `from ≤ targetSeq ≤ to`, ascending. */
  async changes(conversationId: ConversationId, from: number, to: number): Promise<StoredEntry[]> {
    const first = Math.max(1, from);
    let last = to;
    if (last < first) return [];
    if (bucketOf(last, this.#size) > this.#heads.knownBucket(conversationId)) {
      last = Math.min(last, (await this.#heads.read(conversationId)).seq);
      if (last < first) return [];
    }
    const [low, high] = [bucketOf(first, this.#size), bucketOf(last, this.#size)];
    const query =
      'SELECT seq FROM refs WHERE conversation_id = ? AND kind = ? AND bucket = ? AND ref_seq >= ? AND ref_seq <= ?';
    const buckets = Array.from({ length: high - low + 1 }, (_, at) => low + at);
    const found = await inParallel(buckets, IN_FLIGHT, (bucket) =>
      this.#statements.rows(query, [conversationId, CHANGE, bucket, first, last]),
    );
    const rows = await this.#entries.at(conversationId, positionsIn(found.flat()), `${STORED_COLUMNS}, target_seq`);
    return rows.filter((row) => within(numberIn(row, 'target_seq'), first, last)).map(toStored);
  }

  /** What the log has of messages that are to lose their content, or may have lost it. */
  async targetFacts(
    conversationId: ConversationId,
    targets: readonly number[],
  ): Promise<ReadonlyMap<number, TargetFacts>> {
    const found = await inParallel(targets, IN_FLIGHT, async (target): Promise<readonly [number, TargetFacts]> => {
      const [[row], changes] = await Promise.all([
        this.#entries.at(conversationId, [target]),
        this.changes(conversationId, target, target),
      ]);
      return [target, factsOf(row === undefined ? undefined : toStored(row).entry, changes)];
    });
    return new Map(found);
  }

  async replies(
    conversationId: ConversationId,
    parentSeq: number,
    after: number,
    limit: number,
  ): Promise<StoredEntry[]> {
    const query =
      'SELECT seq FROM refs WHERE conversation_id = ? AND kind = ? AND bucket = ? AND ref_seq = ? AND seq > ? LIMIT ?';
    const bucket = bucketOf(parentSeq, this.#size);
    return this.#page(conversationId, `${STORED_COLUMNS}, parent_seq`, after, limit, {
      next: (from, count) => this.#statements.rows(query, [conversationId, REPLY, bucket, parentSeq, from, count]),
      belongs: (row) => numberIn(row, 'parent_seq') === parentSeq,
    });
  }

  async replySummaries(
    conversationId: ConversationId,
    parentSeqs: readonly number[],
  ): Promise<ReadonlyMap<Seq, ReplySummary>> {
    const asked = new Map<number, number[]>();
    for (const parent of new Set(parentSeqs)) {
      const bucket = bucketOf(parent, this.#size);
      const beside = asked.get(bucket);
      if (beside === undefined) asked.set(bucket, [parent]);
      else beside.push(parent);
    }
    const query = 'SELECT seq FROM refs WHERE conversation_id = ? AND kind = ? AND bucket = ? AND ref_seq IN ?';
    const groups = [...asked].flatMap(([bucket, parents]) =>
      Array.from({ length: Math.ceil(parents.length / PARENTS_IN_A_STATEMENT) }, (_, at) => ({
        bucket,
        parents: parents.slice(at * PARENTS_IN_A_STATEMENT, (at + 1) * PARENTS_IN_A_STATEMENT),
      })),
    );
    const found = await inParallel(groups, IN_FLIGHT, ({ bucket, parents }) =>
      this.#statements.rows(query, [conversationId, REPLY, bucket, parents]),
    );
    const columns = 'seq, parent_seq, sender_id, at_ms, deleted_at';
    return summarize(await this.#entries.at(conversationId, positionsIn(found.flat()), columns), new Set(parentSeqs));
  }

  /** The latest pins, ascending. */
  async pins(conversationId: ConversationId): Promise<StoredEntry[]> {
    const query = 'SELECT seq FROM pins WHERE conversation_id = ? AND seq < ? LIMIT ?';
    const found = await this.#page(
      conversationId,
      `${STORED_COLUMNS}, kind`,
      Number.MAX_SAFE_INTEGER,
      READ_MAX_ENTRIES,
      {
        next: (from, count) => this.#statements.rows(query, [conversationId, from, count]),
        belongs: (row) => textIn(row, 'kind') === 'pin',
      },
    );
    return found.sort((a, b) => a.entry.seq - b.entry.seq);
  }

  /** Looks at places, in their order, until there are enough entries; more than once only after places without one. */
  async #page(
    conversationId: ConversationId,
    columns: string,
    from: number,
    limit: number,
    places: {
      readonly next: (from: number, count: number) => Promise<types.Row[]>;
      readonly belongs: (row: types.Row) => boolean;
    },
  ): Promise<StoredEntry[]> {
    const found: StoredEntry[] = [];
    let at = from;
    while (found.length < limit) {
      const wanted = limit - found.length;
      const positions = positionsIn(await places.next(at, wanted));
      const rows = await this.#entries.at(conversationId, positions, columns);
      found.push(...rows.filter(places.belongs).map(toStored));
      if (positions.length < wanted) break;
      at = positions.at(-1) ?? at;
    }
    return found;
  }
}

function positionsIn(rows: readonly types.Row[]): number[] {
  return rows.map((row) => seqIn(row, 'seq'));
}

function within(value: number | undefined, from: number, to: number): boolean {
  return value !== undefined && value >= from && value <= to;
}

function factsOf(target: LogEntry | undefined, changes: readonly StoredEntry[]): TargetFacts {
  const message = target?.kind === 'message' ? target : undefined;
  const firstDelete = changes.find(({ entry }) => entry.kind === 'delete' && entry.seq > entry.targetSeq)?.entry;
  return {
    message,
    edits: changes.flatMap(({ entry }) => (entry.kind === 'edit' ? [entry] : [])),
    deletedAt: message?.deletedAt ?? firstDelete?.sentAt,
  };
}

function summarize(rows: readonly types.Row[], parents: ReadonlySet<number>): ReadonlyMap<Seq, ReplySummary> {
  const summaries = new Map<number, { count: number; lastAtMs: number; participants: Set<UserId> }>();
  for (const row of rows) {
    const parent = numberIn(row, 'parent_seq');
    if (parent === undefined || !parents.has(parent) || textIn(row, 'deleted_at') !== undefined) continue;
    const summary = summaries.get(parent) ?? { count: 0, lastAtMs: 0, participants: new Set() };
    summary.count += 1;
    summary.lastAtMs = numberIn(row, 'at_ms') ?? 0;
    if (summary.participants.size < PARTICIPANTS_MAX) summary.participants.add(textIn(row, 'sender_id') as UserId);
    summaries.set(parent, summary);
  }
  return new Map(
    [...summaries].map(([parent, { count, lastAtMs, participants }]) => [
      seq(parent),
      { count, lastReplyAt: new Date(lastAtMs).toISOString(), participants: [...participants] },
    ]),
  );
}
