import type { ConversationId, Seq, StoredEntry } from '@parley/contracts';

/** The state of a conversation's log at its end, as the log says it. */
export interface CachedHead {
  readonly seq: Seq;
  readonly ordinal: number;
  readonly memberSeq: Seq;
  readonly lastMessageSeq: Seq;
  readonly lastAtMs: number;
  readonly sealedSeq: Seq;
}

/** What an append left: the head, and the entries that lead up to it, consecutive, the last at `head.seq`. */
export interface HeadUpdate {
  readonly conversationId: ConversationId;
  readonly head: CachedHead;
  readonly entries: readonly StoredEntry[];
}

export interface Recent {
  readonly head: CachedHead;
  /** The first entry that the cache has; `head.seq + 1` when it has none. */
  readonly firstSeq: Seq;
  /** Entries with `seq > after`, ascending, at most `limit`, without a hole: from `firstSeq` where `after` is before it. */
  readonly entries: readonly StoredEntry[];
}

/** At most this many conversations in one call. */
export const HEADS_MAX = 10_000;

/**
 * Heads and most recent entries of conversations: what is read while the conversation log cannot be. A cache, never the
 * truth: anything may be missing at any time, and what is there may be behind the log.
 *
 * Guarantees, for every adapter:
 * - **Forward only.** A head's `seq` and `sealedSeq` never go back; an update that is not ahead of what is there adds no
 *   entries. The same update may be put any number of times.
 * - **No hole.** The entries are consecutive up to the head. An update that does not join on to them replaces them.
 * - **Redacted.** What a `delete` removes from the log is not in the cache once its entry is: the content and mentions of
 *   the target and the content of its edits, whichever came first. Where the cache does not know whether the target of an
 *   edit was deleted, it drops that edit, and with it what is before it.
 * - Bounded: the latest `entriesMax` entries and `bytesMax` bytes of a conversation, forgotten `ttlMs` after its last
 *   update; embedded, `conversationsMax` of them.
 *
 * Methods throw `ParleyError('unavailable')` when the server cannot be reached; a `put` that throws may have happened.
 */
export interface HeadCache {
  /** Throws RangeError when the entries of an update are not consecutive up to its head: a bug of the caller. */
  put(updates: readonly HeadUpdate[]): Promise<void>;
  /** One round trip; those that are not known are absent. At most HEADS_MAX ids. */
  heads(conversationIds: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, CachedHead>>;
  /** Null for a conversation that is not known. */
  recent(
    conversationId: ConversationId,
    range: { readonly after: Seq; readonly limit: number },
  ): Promise<Recent | null>;
  close(): Promise<void>;
}

export interface HeadCacheBounds {
  readonly entriesMax: number;
  readonly bytesMax: number;
  readonly ttlMs: number;
}

export const DEFAULT_BOUNDS: HeadCacheBounds = {
  entriesMax: 100,
  bytesMax: 256 * 1024,
  ttlMs: 7 * 86_400_000,
};

export function assertJoined({ conversationId, head, entries }: HeadUpdate): void {
  entries.forEach(({ entry }, index) => {
    if (entry.seq === head.seq - entries.length + 1 + index) return;
    throw new RangeError(`Entries of ${conversationId} are not consecutive up to ${head.seq}`);
  });
}
