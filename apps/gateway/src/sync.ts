import {
  type Actor,
  type ConversationId,
  type LogEntry,
  type Seq,
  seq,
  SYNC_LIMIT_DEFAULT,
  SYNC_TOTAL_MAX,
  type SyncBody,
  type SyncPage,
  type SyncResult,
} from '@parley/contracts';
import { covers, type SeqRange, visibleRanges } from '@parley/conversation';
import { type ConversationLog, type LogHead, READ_MAX_ENTRIES } from '@parley/conversation-log';
import type { Directory } from '@parley/directory';

import type { ConversationViews } from './conversation-views.js';

/** Conversations whose entries are read at the same time in one call. */
const PARALLEL = 16;

/** Catching up by cursor: the log after a position, as far as the reader may see it. */
export class Sync {
  constructor(
    private readonly directory: Directory,
    private readonly log: ConversationLog,
    private readonly views: ConversationViews,
  ) {}

  /** At most `limit` visible entries after `after`; `cursor` is how far was looked, visible or not. */
  async page(
    id: ConversationId,
    head: LogHead,
    ranges: readonly SeqRange[],
    after: Seq,
    limit: number,
  ): Promise<SyncPage> {
    const entries: LogEntry[] = [];
    const end = seq(Math.min(head.seq, ranges.at(-1)?.to ?? 0));
    let cursor = seq(Math.min(after, head.seq));
    while (entries.length < limit && cursor < end) {
      const next = ranges.find(({ to }) => to > cursor);
      if (next === undefined) break;
      // What lies below the next visible range is not this reader's to see: it is passed over unread.
      cursor = seq(Math.max(cursor, next.from - 1));
      const page = await this.log.read(id, {
        after: cursor,
        upTo: seq(Math.min(end, next.to)),
        limit: Math.min(READ_MAX_ENTRIES, limit - entries.length),
      });
      const last = page.at(-1);
      if (last === undefined) break;
      cursor = last.entry.seq;
      for (const { entry } of page) if (covers(ranges, entry.seq)) entries.push(entry);
    }
    return { entries, cursor, hasMore: cursor < end, head: head.seq };
  }

  async all(actor: Actor, { cursors, limit = SYNC_LIMIT_DEFAULT }: SyncBody): Promise<SyncResult> {
    const memberships = await this.views.memberships(actor);
    const known = new Map(Object.entries(cursors) as [ConversationId, Seq][]);
    const added = memberships.filter(({ membership }) => !known.has(membership.conversation.id));
    const behind = memberships.filter(({ membership, head }) => {
      const at = known.get(membership.conversation.id);
      return at !== undefined && at < head.seq;
    });
    const current = new Set(memberships.map(({ membership }) => membership.conversation.id));
    const missing = [...known.keys()].filter((id) => !current.has(id));

    const changed: SyncResult['changed'] = [];
    let budget = SYNC_TOTAL_MAX;
    for (let at = 0; at < behind.length; at += PARALLEL) {
      const slice = behind.slice(at, at + PARALLEL);
      // Over the bound of one answer the rest is said to have more; the client asks again from its cursors.
      const each = Math.min(limit, Math.max(0, Math.floor(budget / slice.length)));
      const pages = await Promise.all(
        slice.map(async ({ membership, head }) => {
          const { id } = membership.conversation;
          const after = known.get(id) ?? seq(0);
          if (each === 0) return { conversationId: id, entries: [], cursor: after, hasMore: true, head: head.seq };
          const ranges = await this.#ranges(actor, membership);
          return { conversationId: id, ...(await this.page(id, head, ranges, after, each)) };
        }),
      );
      for (const page of pages) budget -= page.entries.length;
      changed.push(...pages);
    }
    return {
      changed,
      added: await this.views.views(actor, added),
      removed: [...(await this.directory.formerAmong(actor.userId, missing))],
    };
  }

  /** Former intervals matter only where history starts on joining and someone came back. */
  async #ranges(
    actor: Actor,
    { conversation, role, joinedSeq }: Awaited<ReturnType<Directory['conversationsOf']>>[number],
  ): Promise<readonly SeqRange[]> {
    if (conversation.history === 'all' || joinedSeq === 0) {
      return visibleRanges(conversation.history, [{ role, joinedSeq, leftSeq: null }]);
    }
    const intervals = (await this.directory.memberships(conversation.id, [actor.userId])).get(actor.userId) ?? [];
    return visibleRanges(conversation.history, intervals);
  }
}
