import type { types } from 'cassandra-driver';

import { type ConversationId, type Seq, type StoredEntry } from '@parley/contracts';

import type { Heads } from './cassandra-heads.js';
import { bucketOf, lastOfBucket, numberIn, STORED_COLUMNS, toStored } from './cassandra-rows.js';
import type { Statements } from './cassandra-statements.js';
import { inParallel } from './gate.js';

/** Partitions that one call asks at once. */
const BUCKETS_IN_FLIGHT = 8;
/** Positions in one statement. */
const POSITIONS_MAX = 100;

export interface MessageRange {
  readonly after: Seq;
  readonly before?: Seq;
  readonly take: 'first' | 'last';
  readonly limit: number;
}

/** The entries' table by position, whatever partitions the positions are in. */
export class Entries {
  readonly #statements: Statements;
  readonly #heads: Heads;
  readonly #size: number;

  constructor(statements: Statements, heads: Heads, bucketEntries: number) {
    this.#statements = statements;
    this.#heads = heads;
    this.#size = bucketEntries;
  }

  /** Entries after a position, without a hole. */
  async range(conversationId: ConversationId, after: number, upTo: number, limit: number): Promise<StoredEntry[]> {
    return (await this.rows(conversationId, after, upTo, limit, STORED_COLUMNS)).map(toStored);
  }

  /**
   * Rows after a position, without a hole: partitions are asked one beside the other, so a later one may have been
   * read after an append that an earlier one was read before. What comes after a hole is for the next call.
   */
  async rows(
    conversationId: ConversationId,
    after: number,
    upTo: number,
    limit: number,
    columns: string,
  ): Promise<types.Row[]> {
    const end = Math.min(upTo, after + limit);
    if (end <= after) return [];
    const query = `SELECT ${columns} FROM log_entries
                   WHERE conversation_id = ? AND bucket = ? AND seq > ? AND seq <= ? LIMIT ?`;
    const found: types.Row[] = [];
    const last = bucketOf(end, this.#size);
    for (let from = bucketOf(after + 1, this.#size); from <= last; from += BUCKETS_IN_FLIGHT) {
      const buckets = Array.from({ length: Math.min(BUCKETS_IN_FLIGHT, last - from + 1) }, (_, at) => from + at);
      const answers = await Promise.all(
        buckets.map((bucket) => this.#statements.rows(query, [conversationId, bucket, after, end, limit])),
      );
      for (const row of answers.flat()) {
        if (numberIn(row, 'seq') !== after + found.length + 1) return found;
        found.push(row);
      }
      // A partition that is not full is the last.
      if (after + found.length < Math.min(end, lastOfBucket(from + buckets.length - 1, this.#size))) return found;
    }
    return found;
  }

  /** Rows at these positions, ascending, as far as there are any. */
  async at(
    conversationId: ConversationId,
    positions: readonly number[],
    columns = STORED_COLUMNS,
  ): Promise<types.Row[]> {
    const byBucket = new Map<number, number[]>();
    for (const position of new Set(positions)) {
      const bucket = bucketOf(position, this.#size);
      const beside = byBucket.get(bucket);
      if (beside === undefined) byBucket.set(bucket, [position]);
      else beside.push(position);
    }
    const asked: { bucket: number; some: number[] }[] = [];
    for (const [bucket, all] of byBucket) {
      for (let from = 0; from < all.length; from += POSITIONS_MAX) {
        asked.push({ bucket, some: all.slice(from, from + POSITIONS_MAX) });
      }
    }
    const query = `SELECT ${columns} FROM log_entries WHERE conversation_id = ? AND bucket = ? AND seq IN ?`;
    const answers = await inParallel(asked, BUCKETS_IN_FLIGHT, ({ bucket, some }) =>
      this.#statements.rows(query, [conversationId, bucket, some]),
    );
    return answers.flat().sort((a, b) => (numberIn(a, 'seq') ?? 0) - (numberIn(b, 'seq') ?? 0));
  }

  /**
   * The first or the last messages of a range. The server leaves out what is no message, so an answer costs a walk over
   * at most the entries of a partition per partition; positions after the head's last message are not walked.
   */
  async messages(conversationId: ConversationId, range: MessageRange): Promise<StoredEntry[]> {
    const { after, take, limit } = range;
    const before = await this.#end(conversationId, range.before);
    if (before <= after + 1 || limit === 0) return [];
    const query = `SELECT ${STORED_COLUMNS} FROM log_entries
                   WHERE conversation_id = ? AND bucket = ? AND seq > ? AND seq < ? AND kind = 'message'
                   ORDER BY seq ${take === 'first' ? 'ASC' : 'DESC'} LIMIT ? ALLOW FILTERING`;
    const [low, high] = [bucketOf(after + 1, this.#size), bucketOf(before - 1, this.#size)];
    const found: types.Row[] = [];
    for (let step = 0; step <= high - low && found.length < limit; step += 1) {
      const bucket = take === 'first' ? low + step : high - step;
      const params = [conversationId, bucket, after, before, limit - found.length];
      found.push(...(await this.#statements.rows(query, params)));
    }
    return (take === 'first' ? found : found.reverse()).map(toStored);
  }

  /** Small columns of the messages in `after < seq ≤ upTo`, which is not beyond the head. */
  async messageFacts(conversationId: ConversationId, after: number, upTo: number): Promise<types.Row[]> {
    const query = `SELECT seq, sender_id, deleted_at, mentions FROM log_entries
                   WHERE conversation_id = ? AND bucket = ? AND seq > ? AND seq <= ? AND kind = 'message'
                   ALLOW FILTERING`;
    const [low, high] = [bucketOf(after + 1, this.#size), bucketOf(upTo, this.#size)];
    const buckets = Array.from({ length: high - low + 1 }, (_, at) => low + at);
    const answers = await inParallel(buckets, BUCKETS_IN_FLIGHT, (bucket) =>
      this.#statements.rows(query, [conversationId, bucket, after, upTo]),
    );
    return answers.flat();
  }

  /** Where a range of messages ends, not beyond the head: what is up to there is all to be seen. */
  async #end(conversationId: ConversationId, before: Seq | undefined): Promise<number> {
    const bucket = before === undefined ? Infinity : bucketOf(before - 1, this.#size);
    if (before !== undefined && bucket <= this.#heads.knownBucket(conversationId)) return before;
    const { lastMessageSeq } = await this.#heads.read(conversationId);
    return Math.min(before ?? Infinity, lastMessageSeq + 1);
  }
}
