import {
  type LogEntry,
  type Message,
  type MessageEntry,
  ParleyError,
  type Seq,
  seq,
  type UserId,
} from '@parley/contracts';
import { changesByTarget, covers, foldMessage, viewMessage } from '@parley/conversation';
import type { ConversationLog } from '@parley/conversation-log';

import type { ReadAccess } from './access.js';

const noMessage = (): ParleyError => new ParleyError('not_found', 'There is no such message');

type Window = { readonly kind: 'latest' } | { readonly kind: 'before' | 'after' | 'around'; readonly seq: number };

/** Messages as they now read, behind the one visibility rule. */
export class Reading {
  constructor(private readonly log: ConversationLog) {}

  async page(
    access: ReadAccess,
    viewer: UserId,
    window: Window,
    limit: number,
  ): Promise<{ items: Message[]; hasMore: boolean }> {
    switch (window.kind) {
      case 'latest':
        return this.#older(access, viewer, seq(access.head.seq + 1), limit);
      case 'before':
        return this.#older(access, viewer, seq(window.seq), limit);
      case 'after':
        return this.#newer(access, viewer, seq(window.seq), limit);
      case 'around': {
        const half = Math.ceil(limit / 2);
        const older = await this.#older(access, viewer, seq(window.seq), half);
        const newer = await this.#newer(access, viewer, seq(window.seq - 1), Math.max(1, limit - older.items.length));
        return { items: [...older.items, ...newer.items], hasMore: older.hasMore || newer.hasMore };
      }
    }
  }

  async message(access: ReadAccess, viewer: UserId, at: Seq): Promise<Message> {
    if (!covers(access.ranges, at)) throw noMessage();
    const found = await this.log.read(access.facts.id, { after: seq(at - 1), upTo: at, limit: 1 });
    const entry = found[0]?.entry;
    if (entry?.kind !== 'message') throw noMessage();
    const [message] = await this.fold(access, viewer, [entry]);
    if (message === undefined) throw noMessage();
    return message;
  }

  async replies(access: ReadAccess, viewer: UserId, parentSeq: Seq, after: Seq, limit: number) {
    await this.message(access, viewer, parentSeq);
    const found = await this.log.readReplies(access.facts.id, parentSeq, { after, limit: limit + 1 });
    const visible = messagesOf(found).filter(({ seq: at }) => covers(access.ranges, at));
    return {
      items: await this.fold(access, viewer, visible.slice(0, limit)),
      hasMore: found.length > limit,
    };
  }

  /** Pinned messages, last pinned first. */
  async pins(access: ReadAccess, viewer: UserId): Promise<Message[]> {
    const pinned = new Map<number, number>();
    for (const { entry } of await this.log.readPins(access.facts.id)) {
      if (entry.kind !== 'pin' || !covers(access.ranges, entry.targetSeq)) continue;
      pinned.delete(entry.targetSeq);
      if (entry.op === 'add') pinned.set(entry.targetSeq, entry.seq);
    }
    const newest = [...pinned.keys()].reverse().slice(0, 100);
    const messages = await Promise.all(newest.map((at) => this.message(access, viewer, seq(at))));
    return messages.filter(({ deletedAt }) => deletedAt === undefined);
  }

  /** What of these messages everything since then has made. */
  async fold(access: ReadAccess, viewer: UserId, messages: readonly MessageEntry[]): Promise<Message[]> {
    const first = messages[0];
    const last = messages.at(-1);
    if (first === undefined || last === undefined) return [];
    const [changes, threads] = await Promise.all([
      this.log.readChanges(access.facts.id, { from: first.seq, to: last.seq }),
      this.log.replySummaries(
        access.facts.id,
        messages.map(({ seq: at }) => at),
      ),
    ]);
    const byTarget = changesByTarget(changes.map(({ entry }) => entry));
    return messages.map((message) =>
      viewMessage(foldMessage(message, byTarget.get(message.seq) ?? []), viewer, threads.get(message.seq)),
    );
  }

  async #older(access: ReadAccess, viewer: UserId, before: Seq, limit: number) {
    const found: MessageEntry[] = [];
    for (const { from, to } of [...access.ranges].reverse()) {
      if (found.length > limit || from >= before) continue;
      const page = await this.log.readMessages(access.facts.id, {
        after: seq(Math.max(0, from - 1)),
        before: seq(Math.min(before, to === Number.MAX_SAFE_INTEGER ? to : to + 1)),
        take: 'last',
        limit: limit + 1 - found.length,
      });
      found.unshift(...messagesOf(page));
    }
    const hasMore = found.length > limit;
    return { items: await this.fold(access, viewer, found.slice(-limit)), hasMore };
  }

  async #newer(access: ReadAccess, viewer: UserId, after: Seq, limit: number) {
    const found: MessageEntry[] = [];
    for (const { from, to } of access.ranges) {
      if (found.length > limit || to <= after) continue;
      const page = await this.log.readMessages(access.facts.id, {
        after: seq(Math.max(after, from - 1)),
        ...(to === Number.MAX_SAFE_INTEGER ? {} : { before: seq(to + 1) }),
        take: 'first',
        limit: limit + 1 - found.length,
      });
      found.push(...messagesOf(page));
    }
    return { items: await this.fold(access, viewer, found.slice(0, limit)), hasMore: found.length > limit };
  }
}

function messagesOf(stored: readonly { readonly entry: LogEntry }[]): MessageEntry[] {
  return stored.flatMap(({ entry }) => (entry.kind === 'message' ? [entry] : []));
}
