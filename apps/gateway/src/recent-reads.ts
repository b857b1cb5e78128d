import {
  type ConversationId,
  isUnavailable,
  type LogEntry,
  MENTION_ALL,
  type MessageEntry,
  type Seq,
  type StoredEntry,
  type UserId,
} from '@parley/contracts';
import type { ConversationLog, LogHead, ReplySummary, Tally } from '@parley/conversation-log';
import type { HeadCache, Recent } from '@parley/head-cache';
import { type Clock, Outage } from '@parley/service-kit';

/** More than a cache keeps of one conversation. */
const ALL = 1_000;
const PARTICIPANTS_MAX = 50;

type Readable = Pick<
  ConversationLog,
  'head' | 'heads' | 'read' | 'readMessages' | 'readChanges' | 'readReplies' | 'replySummaries' | 'tally'
>;

/**
 * The log, and while it is away the recent entries that the cache has of it (section 10 of the design). An answer from
 * the cache is whole or not given: where the cache does not reach back far enough the log's refusal stands. Whoever was
 * acknowledged last may not be in it yet; the log is asked first, always.
 */
export function withRecent(log: ConversationLog, cache: HeadCache, clock: Clock): ConversationLog {
  const recent = new RecentReads(cache);
  const outage = new Outage(clock);
  const instead: Readable = {
    head: (id) =>
      outage.or(
        () => log.head(id),
        () => recent.head(id),
      ),
    heads: (ids) =>
      outage.or(
        () => log.heads(ids),
        () => recent.heads(ids),
      ),
    read: (id, range) =>
      outage.or(
        () => log.read(id, range),
        () => recent.read(id, range),
      ),
    readMessages: (id, range) =>
      outage.or(
        () => log.readMessages(id, range),
        () => recent.readMessages(id, range),
      ),
    readChanges: (id, targets) =>
      outage.or(
        () => log.readChanges(id, targets),
        () => recent.readChanges(id, targets),
      ),
    readReplies: (id, parent, range) =>
      outage.or(
        () => log.readReplies(id, parent, range),
        () => recent.readReplies(id, parent, range),
      ),
    replySummaries: (id, parents) =>
      outage.or(
        () => log.replySummaries(id, parents),
        () => recent.replySummaries(id, parents),
      ),
    tally: (requests) =>
      outage.or(
        () => log.tally(requests),
        () => recent.tally(requests),
      ),
  };
  return new Proxy(log, {
    get(target, name) {
      if (name in instead) return instead[name as keyof Readable];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Reads of the log, answered from the cache; undefined where it does not have all of the answer. */
class RecentReads {
  constructor(private readonly cache: HeadCache) {}

  async head(id: ConversationId): Promise<LogHead | undefined> {
    return (await this.#ask(() => this.cache.heads([id])))?.get(id);
  }

  /** A conversation that the cache does not know is shown as if nothing had been said. */
  async heads(ids: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, LogHead> | undefined> {
    return this.#ask(() => this.cache.heads(ids));
  }

  async read(id: ConversationId, range: Parameters<ConversationLog['read']>[1]) {
    const recent = await this.#ask(() => this.cache.recent(id, { after: range.after, limit: range.limit }));
    if (recent == null || range.after + 1 < recent.firstSeq) return undefined;
    // Of a position that the cache has not heard of yet, that there is nothing would be wrong.
    if (range.upTo !== undefined && recent.head.seq < range.upTo) return undefined;
    return recent.entries.filter(({ entry }) => entry.seq <= (range.upTo ?? Infinity));
  }

  async readMessages(id: ConversationId, range: Parameters<ConversationLog['readMessages']>[1]) {
    const recent = await this.#recent(id);
    if (recent === undefined) return undefined;
    const { after, before = Infinity, take, limit } = range;
    const messages = recent.entries.filter(
      ({ entry }) => entry.kind === 'message' && entry.seq > after && entry.seq < before,
    );
    const reachesBack = after + 1 >= recent.firstSeq;
    if (take === 'last') return reachesBack || messages.length >= limit ? messages.slice(-limit) : undefined;
    return reachesBack ? messages.slice(0, limit) : undefined;
  }

  /** What changed a message came after it: who has the message has all of its changes. */
  async readChanges(id: ConversationId, { from, to }: { readonly from: Seq; readonly to: Seq }) {
    const recent = await this.#recent(id);
    if (recent === undefined || from < recent.firstSeq) return undefined;
    return recent.entries.filter(
      ({ entry }) => 'targetSeq' in entry && entry.targetSeq >= from && entry.targetSeq <= to,
    );
  }

  async readReplies(
    id: ConversationId,
    parentSeq: Seq,
    { after, limit }: { readonly after: Seq; readonly limit: number },
  ) {
    const recent = await this.#recent(id);
    if (recent === undefined || parentSeq < recent.firstSeq) return undefined;
    return recent.entries.filter(({ entry }) => isReply(entry, parentSeq) && entry.seq > after).slice(0, limit);
  }

  async replySummaries(id: ConversationId, parents: readonly Seq[]) {
    const recent = await this.#recent(id);
    if (recent === undefined || parents.some((parent) => parent < recent.firstSeq)) return undefined;
    const summaries = new Map<Seq, ReplySummary>();
    for (const parent of parents) {
      const replies = messagesOf(recent.entries).filter(
        (entry) => isReply(entry, parent) && entry.deletedAt === undefined,
      );
      const last = replies.at(-1);
      if (last === undefined) continue;
      const participants = [...new Set(replies.map(({ senderId }) => senderId))].slice(0, PARTICIPANTS_MAX);
      summaries.set(parent, { count: replies.length, lastReplyAt: last.sentAt, participants });
    }
    return summaries;
  }

  /** Exact, as always, or not at all. */
  async tally(requests: Parameters<ConversationLog['tally']>[0]): Promise<readonly Tally[] | undefined> {
    const tallies: Tally[] = [];
    for (const { conversationId, userId, afterSeq } of requests) {
      const recent = await this.#recent(conversationId);
      if (recent === undefined || afterSeq + 1 < recent.firstSeq) return undefined;
      const unseen = messagesOf(recent.entries).filter(
        ({ seq, senderId, deletedAt }) => seq > afterSeq && senderId !== userId && deletedAt === undefined,
      );
      tallies.push({ unread: unseen.length, mentions: unseen.filter((entry) => isMentioned(entry, userId)).length });
    }
    return tallies;
  }

  async #recent(id: ConversationId): Promise<Recent | undefined> {
    return (await this.#ask(() => this.cache.recent(id, { after: 0 as Seq, limit: ALL }))) ?? undefined;
  }

  /** The cache may be away as well: then there is nothing. */
  async #ask<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return undefined;
    }
  }
}

function messagesOf(stored: readonly StoredEntry[]): MessageEntry[] {
  return stored.flatMap(({ entry }) => (entry.kind === 'message' ? [entry] : []));
}

const isReply = (entry: LogEntry, parentSeq: Seq): boolean => entry.kind === 'message' && entry.parentSeq === parentSeq;

function isMentioned({ mentions = [] }: MessageEntry, userId: UserId): boolean {
  return mentions.some((mention) => mention === userId || MENTION_ALL.has(mention));
}
