import { randomUUID } from 'node:crypto';

import type { ConversationId, Seq, StoredEntry } from '@parley/contracts';

import {
  APPEND_MAX_ENTRIES,
  type AppendOutcome,
  type ClientKey,
  type ConversationLog,
  type LogHead,
  READ_MAX_ENTRIES,
  type ReplySummary,
  SOLE_WRITER,
  type Tally,
  type TallyRequest,
} from './conversation-log.js';
import { Appends } from './cassandra-appends.js';
import { ClientIds } from './cassandra-client-ids.js';
import type { CassandraConversationLogConfig } from './cassandra-config.js';
import { Entries, type MessageRange } from './cassandra-entries.js';
import { Heads } from './cassandra-heads.js';
import { Journal } from './cassandra-journal.js';
import { withoutDeleted } from './cassandra-redaction.js';
import { Refs } from './cassandra-refs.js';
import { BUCKET_ENTRIES, bucketOf, lastOfBucket } from './cassandra-rows.js';
import { openKeyspace } from './cassandra-schema.js';
import { Seals } from './cassandra-seals.js';
import { type Cql, Statements } from './cassandra-statements.js';
import { tally } from './cassandra-tally.js';
import { Gate } from './gate.js';

const APPENDS_IN_FLIGHT_MAX = 64;
const APPEND_QUEUE_MAX = 5_000;
const READS_IN_FLIGHT_MAX = 64;
const READ_QUEUE_MAX = 10_000;
const SEALS_IN_FLIGHT_MAX = 16;
const SEAL_QUEUE_MAX = 100_000;
const WAIT_MAX_MS = 1_000;
/** Seals are in no hurry, and their callers many at once. */
const SEAL_WAIT_MAX_MS = 10_000;
/** Heads, tallies and reply summaries in one call. */
const LOOKUPS_MAX = 10_000;

/**
 * The log in Cassandra. A conversation's entries are in partitions of `bucketEntries` each, and an append is one
 * conditional batch in one of them (cassandra-appends.ts), so it may not go beyond the partition's end: `appendLimit`.
 * What an append must leave findable elsewhere is either written before it (cassandra-refs.ts) or found in the log's
 * tail until sealing has written it (cassandra-seals.ts, cassandra-client-ids.ts, cassandra-journal.ts).
 *
 * An `appended` outcome is on a majority of the local copies. What a node has of it after it died is up to its
 * `commitlog_sync`: with `periodic`, the default, a kill -9 takes the last 100 ms of what it had acknowledged (measured:
 * 33 of 1,415 appends, all of the last 41 ms) and a power cut the last seconds; the other copies still have them. A
 * cluster of one node therefore needs `batch` or `group` (measured: none lost).
 *
 * A deleted text is in no answer any more; the files that have it go with the next compactions.
 */
export class CassandraConversationLog implements ConversationLog {
  readonly #cql: Cql;
  readonly #size: number;
  readonly #heads: Heads;
  readonly #entries: Entries;
  readonly #refs: Refs;
  readonly #clientIds: ClientIds;
  readonly #journal: Journal;
  readonly #appends: Appends;
  readonly #seals: Seals;
  readonly #writing: Gate;
  readonly #reading: Gate;
  readonly #sealing: Gate;
  #closed: Promise<void> | null = null;

  private constructor(cql: Cql, config: CassandraConversationLogConfig) {
    const statements = new Statements(cql);
    const bucketEntries = config.bucketEntries ?? BUCKET_ENTRIES;
    if (!Number.isInteger(bucketEntries) || bucketEntries < 1) throw new RangeError('bucketEntries is at least 1');
    const heads = new Heads(statements, bucketEntries);
    const entries = new Entries(statements, heads, bucketEntries);
    const refs = new Refs(statements, entries, heads, bucketEntries);
    const clientIds = new ClientIds(statements, entries, heads);
    const journal = new Journal(statements, heads, config.nowMs ?? Date.now);
    const appends = new Appends({
      statements,
      heads,
      entries,
      refs,
      journal,
      bucketEntries,
      newAppendId: randomUUID,
      appended: (...appended) => this.#seals.appended(...appended),
    });
    this.#cql = cql;
    this.#size = bucketEntries;
    this.#heads = heads;
    this.#entries = entries;
    this.#refs = refs;
    this.#clientIds = clientIds;
    this.#journal = journal;
    this.#appends = appends;
    this.#seals = new Seals({ statements, heads, entries, appends, clientIds, journal });
    this.#writing = new Gate({
      name: 'appends',
      inFlightMax: config.appendsInFlightMax ?? APPENDS_IN_FLIGHT_MAX,
      queueMax: config.appendQueueMax ?? APPEND_QUEUE_MAX,
      waitMaxMs: WAIT_MAX_MS,
    });
    this.#reading = new Gate({
      name: 'reads',
      inFlightMax: READS_IN_FLIGHT_MAX,
      queueMax: READ_QUEUE_MAX,
      waitMaxMs: WAIT_MAX_MS,
    });
    this.#sealing = new Gate({
      name: 'seals',
      inFlightMax: SEALS_IN_FLIGHT_MAX,
      queueMax: SEAL_QUEUE_MAX,
      waitMaxMs: SEAL_WAIT_MAX_MS,
    });
  }

  static async open(config: CassandraConversationLogConfig): Promise<CassandraConversationLog> {
    return CassandraConversationLog.over(await openKeyspace(config), config);
  }

  /** Over a client that is connected to a migrated keyspace; closing closes it. */
  static over(cql: Cql, config: CassandraConversationLogConfig): CassandraConversationLog {
    return new CassandraConversationLog(cql, config);
  }

  head(conversationId: ConversationId): Promise<LogHead> {
    return this.#reading.run(() => this.#heads.read(conversationId));
  }

  async heads(conversationIds: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, LogHead>> {
    assertAtMost(conversationIds.length, LOOKUPS_MAX, 'heads');
    return this.#reading.run(() => this.#heads.readMany(conversationIds));
  }

  appendLimit(expectedHead: Seq): number {
    return Math.min(
      APPEND_MAX_ENTRIES,
      lastOfBucket(bucketOf(expectedHead + 1, this.#size), this.#size) - expectedHead,
    );
  }

  async append(
    conversationId: ConversationId,
    expectedHead: Seq,
    entries: readonly StoredEntry[],
    writer = SOLE_WRITER,
  ): Promise<AppendOutcome> {
    if (entries.length === 0) throw new RangeError('An append has at least one entry');
    assertAtMost(entries.length, this.appendLimit(expectedHead), `entries in an append after ${expectedHead}`);
    entries.forEach(({ entry }, index) => {
      if (entry.seq === expectedHead + 1 + index) return;
      throw new RangeError(`Entry ${index} of the append has seq ${entry.seq}, not ${expectedHead + 1 + index}`);
    });
    return this.#writing.run(() => this.#appends.append(conversationId, expectedHead, entries, writer));
  }

  async read(
    conversationId: ConversationId,
    range: { readonly after: Seq; readonly upTo?: Seq; readonly limit: number },
  ): Promise<readonly StoredEntry[]> {
    assertAtMost(range.limit, READ_MAX_ENTRIES, 'entries in an answer');
    const { after, upTo = Infinity, limit } = range;
    return withoutDeleted(await this.#reading.run(() => this.#entries.range(conversationId, after, upTo, limit)));
  }

  async readMessages(conversationId: ConversationId, range: MessageRange): Promise<readonly StoredEntry[]> {
    assertAtMost(range.limit, READ_MAX_ENTRIES, 'entries in an answer');
    return this.#reading.run(() => this.#entries.messages(conversationId, range));
  }

  async readChanges(
    conversationId: ConversationId,
    targets: { readonly from: Seq; readonly to: Seq },
  ): Promise<readonly StoredEntry[]> {
    const { from, to } = targets;
    return withoutDeleted(await this.#reading.run(() => this.#refs.changes(conversationId, from, to)));
  }

  async readReplies(
    conversationId: ConversationId,
    parentSeq: Seq,
    range: { readonly after: Seq; readonly limit: number },
  ): Promise<readonly StoredEntry[]> {
    assertAtMost(range.limit, READ_MAX_ENTRIES, 'entries in an answer');
    return this.#reading.run(() => this.#refs.replies(conversationId, parentSeq, range.after, range.limit));
  }

  async replySummaries(
    conversationId: ConversationId,
    parentSeqs: readonly Seq[],
  ): Promise<ReadonlyMap<Seq, ReplySummary>> {
    assertAtMost(parentSeqs.length, LOOKUPS_MAX, 'reply summaries');
    return this.#reading.run(() => this.#refs.replySummaries(conversationId, parentSeqs));
  }

  readPins(conversationId: ConversationId): Promise<readonly StoredEntry[]> {
    return this.#reading.run(() => this.#refs.pins(conversationId));
  }

  async findClientIds(
    conversationId: ConversationId,
    keys: readonly ClientKey[],
    sinceMs: number,
    knownFrom: number = Infinity,
  ): Promise<ReadonlyMap<string, StoredEntry>> {
    assertAtMost(keys.length, APPEND_MAX_ENTRIES, 'client ids');
    return this.#reading.run(() => this.#clientIds.find(conversationId, keys, sinceMs, knownFrom));
  }

  async tally(requests: readonly TallyRequest[]): Promise<readonly Tally[]> {
    assertAtMost(requests.length, LOOKUPS_MAX, 'tallies');
    return this.#reading.run(() => tally(requests, this.#heads, this.#entries));
  }

  seal(conversationId: ConversationId, upTo: Seq): Promise<void> {
    return this.#sealing.run(() => this.#seals.seal(conversationId, upTo));
  }

  unsealed(limit: number, gone: (writer: string) => boolean = () => true): Promise<readonly ConversationId[]> {
    return this.#reading.run(() => this.#journal.left(limit, gone));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all([this.#writing.close(), this.#reading.close(), this.#sealing.close()]);
    await this.#cql.shutdown();
  }
}

function assertAtMost(count: number, max: number, what: string): void {
  if (!(count <= max)) throw new RangeError(`At most ${max} ${what}, not ${count}`);
}
