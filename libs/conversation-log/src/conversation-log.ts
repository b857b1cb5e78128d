import type { ConversationId, Seq, StoredEntry, UserId } from '@parley/contracts';

/** At most this many entries in one append, and at most `appendLimit()` of them; the caller splits. */
export const APPEND_MAX_ENTRIES = 500;
/** Who appends where a store has one writer at a time. */
export const SOLE_WRITER = 'sole';
/** At most this many entries in one answer. */
export const READ_MAX_ENTRIES = 1_000;

/** The state of a conversation's log at its end. All zero for a conversation without entries. */
export interface LogHead {
  /** `seq` of the last entry. */
  readonly seq: Seq;
  /** Countable messages (entries of kind `message`, whether deleted since or not) up to the head. */
  readonly ordinal: number;
  /** `seq` of the last membership entry. */
  readonly memberSeq: Seq;
  /** `seq` of the last entry of kind `message`. */
  readonly lastMessageSeq: Seq;
  /** Time of the last entry, milliseconds since the epoch; 0 without entries. */
  readonly lastAtMs: number;
  /** Everything up to here is published and its client ids are recorded. */
  readonly sealedSeq: Seq;
}

export const EMPTY_HEAD: LogHead = Object.freeze({
  seq: 0 as Seq,
  ordinal: 0,
  memberSeq: 0 as Seq,
  lastMessageSeq: 0 as Seq,
  lastAtMs: 0,
  sealedSeq: 0 as Seq,
});

export type AppendOutcome =
  | { readonly kind: 'appended'; readonly head: LogHead }
  /**
   * The log's head is not the expected one: nothing was written. `missed` are the entries after the expected head, the
   * first READ_MAX_ENTRIES of them.
   */
  | { readonly kind: 'conflict'; readonly head: LogHead; readonly missed: readonly StoredEntry[] };

export interface ClientKey {
  readonly senderId: UserId;
  readonly clientId: string;
}

/** How many messages after a position a person has not seen. */
export interface Tally {
  /** Messages of others, not deleted. */
  readonly unread: number;
  /** Of these, those that mention the person, or everyone. */
  readonly mentions: number;
}

export interface TallyRequest {
  readonly conversationId: ConversationId;
  readonly userId: UserId;
  /** The read position: messages after it count. */
  readonly afterSeq: Seq;
}

/**
 * One append-only log per conversation; the source of truth for order and content.
 *
 * Guarantees, for every adapter:
 * - **Dense.** A log's entries have `seq` 1, 2, 3, … with no hole; a reader never sees n before n−1.
 * - **Compare-and-append.** `append` writes all entries or none, and only if the head is the expected one. Of several
 *   concurrent appends with the same expected head exactly one succeeds.
 * - **Durable before it answers.** An `appended` outcome survives the death of the process (and, where the adapter
 *   says so, of the machine). An append whose answer was lost is either wholly there or not at all.
 * - **Read your writes.** Whoever saw the outcome reads the entries, through any method.
 * - **Immutable but for redaction.** Appending a `delete` entry removes, in the same step or before the append
 *   answers, the content and mentions of its target and the content of the target's edits from the store for good;
 *   they read `content: null, deletedAt` (the delete's `sentAt`) from then on, in every method. So does an `edit`
 *   that is appended after its target was deleted.
 *
 * Methods throw `ParleyError('unavailable')` when the store cannot be reached; an append that throws may have happened:
 * read before trying again. Conversations are independent of each other.
 */
export interface ConversationLog {
  head(conversationId: ConversationId): Promise<LogHead>;
  /** Heads of many conversations in one round trip; those without entries are absent. At most 10,000 ids. */
  heads(conversationIds: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, LogHead>>;

  /**
   * How many entries an append after `expectedHead` may have: 1 … APPEND_MAX_ENTRIES. It is all of those for most
   * positions; fewer where a log's partition is about to end, because all or nothing holds within one only.
   */
  appendLimit(expectedHead: Seq): number;

  /**
   * Appends `entries` (1 … appendLimit(expectedHead), `seq` = expectedHead + 1, + 2, …) if the head's seq is
   * `expectedHead`. Throws RangeError when there are more, or they are not consecutive from there: a bug of the caller.
   *
   * `writer` names who appends, anew for each life of a process (instance and epoch): `unsealed` finds what it left.
   * Two who append to one store at the same time have different names.
   */
  append(
    conversationId: ConversationId,
    expectedHead: Seq,
    entries: readonly StoredEntry[],
    writer?: string,
  ): Promise<AppendOutcome>;

  /** Entries with `after < seq ≤ upTo` (default: to the head), ascending, at most `limit` (≤ READ_MAX_ENTRIES). */
  read(
    conversationId: ConversationId,
    range: { readonly after: Seq; readonly upTo?: Seq; readonly limit: number },
  ): Promise<readonly StoredEntry[]>;

  /** Entries of kind `message` with `after < seq < before`, ascending: the last `limit` of them for `last`, else the first. */
  readMessages(
    conversationId: ConversationId,
    range: { readonly after: Seq; readonly before?: Seq; readonly take: 'first' | 'last'; readonly limit: number },
  ): Promise<readonly StoredEntry[]>;

  /**
   * Entries that change messages with `from ≤ targetSeq ≤ to` (edits, deletes, reactions, pins), ascending by `seq`,
   * all of them.
   */
  readChanges(
    conversationId: ConversationId,
    targets: { readonly from: Seq; readonly to: Seq },
  ): Promise<readonly StoredEntry[]>;

  /** Replies to a message with `seq > after`, ascending, at most `limit`. */
  readReplies(
    conversationId: ConversationId,
    parentSeq: Seq,
    range: { readonly after: Seq; readonly limit: number },
  ): Promise<readonly StoredEntry[]>;

  /** For each parent with replies (deleted ones not counted): count, time of the last, authors by first reply, at most 50. */
  replySummaries(conversationId: ConversationId, parentSeqs: readonly Seq[]): Promise<ReadonlyMap<Seq, ReplySummary>>;

  /** All pin entries, ascending. At most READ_MAX_ENTRIES, the latest. */
  readPins(conversationId: ConversationId): Promise<readonly StoredEntry[]>;

  /**
   * The messages that were sent under these client ids since `sinceMs`, as they are now stored, keyed by
   * `clientKey()`. At most APPEND_MAX_ENTRIES keys. With several of one key, the latest. A message from before the
   * sealed position is found for seven days at least.
   *
   * `knownFrom` says that the caller knows what was sent after that position: it need not be looked for there, and is
   * found or not. Where that is all that is not sealed, it saves reading the log's tail.
   */
  findClientIds(
    conversationId: ConversationId,
    keys: readonly ClientKey[],
    sinceMs: number,
    knownFrom?: Seq,
  ): Promise<ReadonlyMap<string, StoredEntry>>;

  /** Exact counts, in order of the requests; one round trip. At most 10,000 requests. */
  tally(requests: readonly TallyRequest[]): Promise<readonly Tally[]>;

  /**
   * Records that everything up to `upTo` is published, once all else that an append may leave to be done later is done
   * (client ids recorded, what deletes took away gone). Only moves forward. Lazily durable: may be lost by a crash.
   */
  seal(conversationId: ConversationId, upTo: Seq): Promise<void>;
  /**
   * Conversations whose head is beyond their sealed position, at most `limit`: all that were appended to by a writer
   * who is `gone` (all, if not given) since they were last sealed, and perhaps others.
   */
  unsealed(limit: number, gone?: (writer: string) => boolean): Promise<readonly ConversationId[]>;

  /** Ends workers and connections; what was acknowledged is durable. */
  close(): Promise<void>;
}

export interface ReplySummary {
  readonly count: number;
  readonly lastReplyAt: string;
  readonly participants: readonly UserId[];
}

export function clientKey(key: ClientKey): string {
  return `${key.senderId}\u0000${key.clientId}`;
}

/** What the log does to what was deleted; the head cache does it too. */
export { redact } from '@parley/contracts';
