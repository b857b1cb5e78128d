import { type ConversationId, type LogEntry, redact, type Seq, seq, type StoredEntry } from '@parley/contracts';

import {
  assertJoined,
  type CachedHead,
  DEFAULT_BOUNDS,
  type HeadCache,
  type HeadCacheBounds,
  HEADS_MAX,
  type HeadUpdate,
  type Recent,
} from './head-cache.js';

export interface InProcessHeadCacheConfig extends Partial<HeadCacheBounds> {
  /** Beyond, the conversation that was updated longest ago is forgotten. */
  readonly conversationsMax?: number;
  readonly nowMs?: () => number;
}

const CONVERSATIONS_MAX = 10_000;

interface Cached {
  head: CachedHead;
  entries: StoredEntry[];
  expiresAtMs: number;
}

/** The cache of one process. A map keeps the order of insertion: the conversation updated longest ago is first. */
export class InProcessHeadCache implements HeadCache {
  readonly #bounds: HeadCacheBounds;
  readonly #conversationsMax: number;
  readonly #nowMs: () => number;
  readonly #conversations = new Map<ConversationId, Cached>();

  constructor(config: InProcessHeadCacheConfig = {}) {
    this.#bounds = { ...DEFAULT_BOUNDS, ...config };
    this.#conversationsMax = config.conversationsMax ?? CONVERSATIONS_MAX;
    this.#nowMs = config.nowMs ?? Date.now;
  }

  async put(updates: readonly HeadUpdate[]): Promise<void> {
    for (const update of updates) assertJoined(update);
    for (const update of updates) this.#put(update);
  }

  async heads(conversationIds: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, CachedHead>> {
    if (conversationIds.length > HEADS_MAX) throw new RangeError(`At most ${HEADS_MAX} conversations in a call`);
    return new Map(
      conversationIds.flatMap((id) => {
        const cached = this.#known(id);
        return cached === undefined ? [] : [[id, cached.head] as const];
      }),
    );
  }

  async recent(
    conversationId: ConversationId,
    { after, limit }: { readonly after: Seq; readonly limit: number },
  ): Promise<Recent | null> {
    const cached = this.#known(conversationId);
    if (cached === undefined) return null;
    const { head, entries } = cached;
    const from = Math.max(
      0,
      entries.findIndex(({ entry }) => entry.seq > after),
    );
    return {
      head,
      firstSeq: firstSeqOf(cached),
      entries: after >= head.seq ? [] : entries.slice(from, from + limit),
    };
  }

  async close(): Promise<void> {
    this.#conversations.clear();
  }

  #known(conversationId: ConversationId): Cached | undefined {
    const cached = this.#conversations.get(conversationId);
    return cached === undefined || cached.expiresAtMs <= this.#nowMs() ? undefined : cached;
  }

  #put({ conversationId, head, entries }: HeadUpdate): void {
    const cached = this.#known(conversationId) ?? { head, entries: [], expiresAtMs: 0 };
    const sealedSeq = seq(Math.max(head.sealedSeq, cached.head.sealedSeq));
    if (head.seq > cached.head.seq || cached.expiresAtMs === 0) {
      const joins = entries[0] !== undefined && entries[0].entry.seq <= cached.head.seq + 1;
      if (!joins || cached.expiresAtMs === 0) cached.entries = [];
      const known = cached.expiresAtMs === 0 ? 0 : cached.head.seq;
      for (const entry of entries) if (entry.entry.seq > known) append(cached.entries, entry);
      cached.head = head;
      this.#trim(cached);
    }
    cached.head = { ...cached.head, sealedSeq };
    cached.expiresAtMs = this.#nowMs() + this.#bounds.ttlMs;
    this.#conversations.delete(conversationId);
    this.#conversations.set(conversationId, cached);
    for (const longestAgo of this.#conversations.keys()) {
      if (this.#conversations.size <= this.#conversationsMax) break;
      this.#conversations.delete(longestAgo);
    }
  }

  #trim({ entries }: Cached): void {
    let bytes = entries.reduce((sum, { json }) => sum + Buffer.byteLength(json), 0);
    let dropped = Math.max(0, entries.length - this.#bounds.entriesMax);
    for (let at = 0; at < dropped; at += 1) bytes -= Buffer.byteLength(entries[at]?.json ?? '');
    for (; bytes > this.#bounds.bytesMax && dropped < entries.length; dropped += 1) {
      bytes -= Buffer.byteLength(entries[dropped]?.json ?? '');
    }
    entries.splice(0, dropped);
  }
}

function firstSeqOf({ head, entries }: Cached): Seq {
  return seq(entries[0]?.entry.seq ?? head.seq + 1);
}

function append(entries: StoredEntry[], stored: StoredEntry): void {
  const { entry } = stored;
  entries.push(stored);
  if (entry.kind === 'delete') {
    entries.forEach((each, index) => {
      const { kind } = each.entry;
      const isIts = (kind === 'edit' ? each.entry.targetSeq : each.entry.seq) === entry.targetSeq;
      if (isIts) entries[index] = redacted(each, entry.sentAt);
    });
  }
  if (entry.kind !== 'edit' || entry.content === null) return;
  const target = entries.find((each) => each.entry.seq === entry.targetSeq)?.entry;
  if (target === undefined) entries.length = 0;
  else if ('deletedAt' in target && target.deletedAt !== undefined) {
    entries[entries.length - 1] = redacted(stored, target.deletedAt);
  }
}

function redacted(stored: StoredEntry, deletedAt: string): StoredEntry {
  if (!hasContent(stored.entry)) return stored;
  const entry = redact(stored.entry, deletedAt);
  return { ...stored, entry, json: JSON.stringify(entry) };
}

/** False for what has none by kind, or none any more. */
export function hasContent(entry: LogEntry): boolean {
  return 'content' in entry && entry.content !== null;
}
