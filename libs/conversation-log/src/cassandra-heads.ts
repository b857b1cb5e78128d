import type { types } from 'cassandra-driver';

import { type ConversationId, type Seq, seq } from '@parley/contracts';

import { EMPTY_HEAD, type LogHead } from './conversation-log.js';
import { bucketOf, HEAD_COLUMNS, lastOfBucket, numberIn, seqIn, textIn, toHead } from './cassandra-rows.js';
import type { Statements } from './cassandra-statements.js';
import { inParallel } from './gate.js';

/** Conversations whose last known head is kept; some 250 bytes each. */
const KNOWN_MAX = 100_000;
/** Of a question about many: conversations in one statement, and statements in flight. */
const GROUP = 50;
const GROUPS_IN_FLIGHT = 16;

const FACTS = 'newest_bucket, sealed_seq';

/** What the table `conversations` says of one. */
interface Facts {
  readonly newestBucket: number;
  readonly sealedSeq: Seq;
}
const NO_FACTS: Facts = { newestBucket: 0, sealedSeq: seq(0) };

/**
 * Finds logs' heads: the static columns of the newest partition. Which one that is says `conversations.newest_bucket`,
 * written before the first append to a partition: so the newest partition is that one, or, when it has nothing yet,
 * the one before. A partition opened since that was read is found by asking for the next of one that is full.
 *
 * A head that was seen once is a lower bound for ever, so the last one seen is where looking starts.
 */
export class Heads {
  readonly #statements: Statements;
  readonly #size: number;
  readonly #known = new Map<ConversationId, LogHead>();

  constructor(statements: Statements, bucketEntries: number) {
    this.#statements = statements;
    this.#size = bucketEntries;
  }

  /** The last head that was seen; the log may be further. */
  known(conversationId: ConversationId): LogHead | undefined {
    return this.#known.get(conversationId);
  }

  /** The partition of the last head that was seen; all before it are full. */
  knownBucket(conversationId: ConversationId): number {
    return bucketOf(Math.max(1, this.#known.get(conversationId)?.seq ?? 1), this.#size);
  }

  learn(conversationId: ConversationId, head: LogHead): void {
    const known = this.#known.get(conversationId);
    const sealedSeq = seq(Math.max(head.sealedSeq, known?.sealedSeq ?? 0));
    const further = known !== undefined && known.seq > head.seq ? known : head;
    this.#known.delete(conversationId);
    this.#known.set(conversationId, { ...further, sealedSeq });
    if (this.#known.size <= KNOWN_MAX) return;
    const oldest = this.#known.keys().next();
    if (oldest.done !== true) this.#known.delete(oldest.value);
  }

  async read(conversationId: ConversationId): Promise<LogHead> {
    const guess = this.knownBucket(conversationId);
    const [facts, guessed] = await Promise.all([this.#facts(conversationId), this.#bucketHead(conversationId, guess)]);
    return this.#locate(conversationId, facts, { bucket: guess, head: guessed });
  }

  /** Those without entries are absent. */
  async readMany(conversationIds: readonly ConversationId[]): Promise<Map<ConversationId, LogHead>> {
    const ids = [...new Set(conversationIds)];
    const facts = new Map<string, Facts>();
    await inParallel(groupsOf(ids), GROUPS_IN_FLIGHT, async (group) => {
      const query = `SELECT conversation_id, ${FACTS} FROM conversations WHERE conversation_id IN ?`;
      for (const row of await this.#statements.rows(query, [group])) {
        facts.set(textIn(row, 'conversation_id') ?? '', toFacts(row));
      }
    });
    const byBucket = new Map<number, ConversationId[]>();
    for (const id of ids) {
      const bucket = Math.max(facts.get(id)?.newestBucket ?? 0, this.knownBucket(id));
      byBucket.set(bucket, [...(byBucket.get(bucket) ?? []), id]);
    }
    const asked = [...byBucket].flatMap(([bucket, some]) => groupsOf(some).map((group) => ({ bucket, group })));
    const heads = new Map<ConversationId, LogHead>();
    await inParallel(asked, GROUPS_IN_FLIGHT, async ({ bucket, group }) => {
      const query = `SELECT DISTINCT conversation_id, bucket, ${HEAD_COLUMNS} FROM log_entries
                     WHERE conversation_id IN ? AND bucket = ?`;
      const found = new Map<string, LogHead | undefined>();
      for (const row of await this.#statements.rows(query, [group, bucket])) {
        found.set(textIn(row, 'conversation_id') ?? '', toHead(row));
      }
      for (const id of group) {
        const head = await this.#locate(id, facts.get(id) ?? NO_FACTS, { bucket, head: found.get(id) });
        if (head.seq > 0) heads.set(id, head);
      }
    });
    return heads;
  }

  /** From what one partition says to the newest. */
  async #locate(
    conversationId: ConversationId,
    facts: Facts,
    asked: { readonly bucket: number; readonly head: LogHead | undefined },
  ): Promise<LogHead> {
    let { bucket, head } = asked;
    if (facts.newestBucket > bucket) {
      bucket = facts.newestBucket;
      head = await this.#bucketHead(conversationId, bucket);
    }
    while (head === undefined && bucket > 0) {
      bucket -= 1;
      head = await this.#bucketHead(conversationId, bucket);
    }
    while (head !== undefined && head.seq === lastOfBucket(bucket, this.#size)) {
      bucket += 1;
      const next = await this.#bucketHead(conversationId, bucket);
      if (next === undefined) break;
      head = next;
    }
    if (head === undefined) return EMPTY_HEAD;
    const sealedSeq = seq(Math.min(head.seq, facts.sealedSeq));
    this.learn(conversationId, { ...head, sealedSeq });
    return { ...head, sealedSeq };
  }

  async #facts(conversationId: ConversationId): Promise<Facts> {
    const query = `SELECT ${FACTS} FROM conversations WHERE conversation_id = ?`;
    const [row] = await this.#statements.rows(query, [conversationId]);
    return row === undefined ? NO_FACTS : toFacts(row);
  }

  async #bucketHead(conversationId: ConversationId, bucket: number): Promise<LogHead | undefined> {
    const query = `SELECT DISTINCT ${HEAD_COLUMNS} FROM log_entries WHERE conversation_id = ? AND bucket = ?`;
    const [row] = await this.#statements.rows(query, [conversationId, bucket]);
    return row === undefined ? undefined : toHead(row);
  }
}

function toFacts(row: types.Row): Facts {
  return { newestBucket: numberIn(row, 'newest_bucket') ?? 0, sealedSeq: seqIn(row, 'sealed_seq') };
}

function groupsOf<T>(items: readonly T[]): T[][] {
  const groups: T[][] = [];
  for (let from = 0; from < items.length; from += GROUP) groups.push(items.slice(from, from + GROUP));
  return groups;
}
