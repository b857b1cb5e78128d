import { type ConversationId, type LogEntry, redact, type Seq, seq, type StoredEntry } from '@parley/contracts';
import type { RedisConnection, Reply } from '@parley/redis-client';

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
import { hasContent } from './in-process.js';
import { PUT, RECENT } from './redis-scripts.js';

export interface RedisHeadCacheConfig extends Partial<HeadCacheBounds> {
  readonly redis: RedisConnection;
}

/** Updates sent before their answers are waited for: each may be some hundred kilobytes. */
const UPDATES_IN_FLIGHT = 100;

/** The cache in Redis: one hash a conversation, changed by one script. */
export class RedisHeadCache implements HeadCache {
  readonly #redis: RedisConnection;
  readonly #bounds: HeadCacheBounds;

  constructor(config: RedisHeadCacheConfig) {
    this.#redis = config.redis;
    this.#bounds = { ...DEFAULT_BOUNDS, ...config };
  }

  async put(updates: readonly HeadUpdate[]): Promise<void> {
    for (const update of updates) assertJoined(update);
    const { ttlMs, entriesMax, bytesMax } = this.#bounds;
    const calls = updates.map(({ conversationId, head, entries }) => ({
      script: PUT,
      keys: [this.#key(conversationId)] as const,
      args: [ttlMs, entriesMax, bytesMax, head.seq, head.sealedSeq, JSON.stringify(head), ...entries.flatMap(wordsOf)],
    }));
    for (let at = 0; at < calls.length; at += UPDATES_IN_FLIGHT) {
      await this.#redis.batch(calls.slice(at, at + UPDATES_IN_FLIGHT));
    }
  }

  async heads(conversationIds: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, CachedHead>> {
    if (conversationIds.length > HEADS_MAX) throw new RangeError(`At most ${HEADS_MAX} conversations in a call`);
    const replies = await this.#redis.batch(
      conversationIds.map((id) => ({ command: 'HMGET', key: this.#key(id), args: ['head', 'sealed'] })),
    );
    return new Map(
      conversationIds.flatMap((id, index) => {
        const reply = replies[index];
        const head = Array.isArray(reply) ? headOf(reply[0], reply[1]) : null;
        return head === null ? [] : [[id, head] as const];
      }),
    );
  }

  async recent(
    conversationId: ConversationId,
    { after, limit }: { readonly after: Seq; readonly limit: number },
  ): Promise<Recent | null> {
    const reply = await this.#redis.call({ script: RECENT, keys: [this.#key(conversationId)], args: [after, limit] });
    if (!Array.isArray(reply)) return null;
    const [, sealed, json, first, ...parts] = reply;
    const head = headOf(json, sealed);
    if (head === null) return null;
    const entries = Array.from({ length: parts.length / 2 }, (_, index) =>
      storedOf(String(parts[index * 2]), String(parts[index * 2 + 1])),
    );
    return { head, firstSeq: seq(Number(first)), entries };
  }

  /** The connection is its owner's. */
  async close(): Promise<void> {}

  #key(conversationId: ConversationId): string {
    return `${this.#redis.keyPrefix}{c:${conversationId}}:head`;
  }
}

function headOf(json: Reply | undefined, sealed: Reply | undefined): CachedHead | null {
  if (typeof json !== 'string') return null;
  return { ...(JSON.parse(json) as CachedHead), sealedSeq: seq(Number(sealed)) };
}

function storedOf(json: string, meta: string): StoredEntry {
  const [ordinal, memberSeq] = meta.split(' ').map(Number);
  return { entry: JSON.parse(json) as LogEntry, json, ordinal: ordinal ?? 0, memberSeq: seq(memberSeq ?? 0) };
}

/** How the JSON of a redacted entry ends: the time of deletion is filled in where the text is cut. */
const NO_TIME = '"deletedAt":""}';

/** What PUT is told of an entry. */
function wordsOf({ entry, json, ordinal, memberSeq }: StoredEntry): readonly (string | number)[] {
  const target = 'targetSeq' in entry ? entry.targetSeq : 0;
  const time = entry.kind === 'delete' ? entry.sentAt : 'deletedAt' in entry ? (entry.deletedAt ?? '') : '';
  return [entry.seq, json, withoutContent(entry), ordinal, memberSeq, entry.kind, target, time];
}

function withoutContent(entry: LogEntry): string {
  if (!hasContent(entry)) return '';
  const json = JSON.stringify(redact(entry, ''));
  if (!json.endsWith(NO_TIME)) throw new Error(`A redacted ${entry.kind} does not end with its time`);
  return json.slice(0, -'"}'.length);
}
