import {
  type ConversationId,
  entryId,
  type LogEntry,
  MENTION_ALL,
  type Seq,
  seq,
  type StoredEntry,
  type UserId,
} from '@parley/contracts';

import type { AppendOutcome, ConversationLog } from './conversation-log.js';

/** Builders for the suites: an entry is drafted without its place, and gets one when it is appended. */

export const ANN = 'u_ann' as UserId;
export const BOB = 'u_bob' as UserId;
export const CAT = 'u_cat' as UserId;
export const FIRST_AT_MS = Date.parse('2026-01-01T00:00:00.000Z');

export type Draft = (place: Pick<LogEntry, 'conversationId' | 'seq' | 'id' | 'senderId' | 'sentAt'>) => LogEntry;
export interface Authored {
  readonly by: UserId;
  readonly draft: Draft;
}

interface MessageParts {
  readonly clientId?: string;
  readonly parentSeq?: Seq;
  readonly mentions?: string[];
}

export function message(by: UserId, text: string, parts: MessageParts = {}): Authored {
  return { by, draft: (place) => ({ ...place, kind: 'message', content: { type: 'text', text }, ...parts }) };
}
export function edit(by: UserId, targetSeq: number, text: string): Authored {
  return {
    by,
    draft: (place) => ({ ...place, kind: 'edit', targetSeq: seq(targetSeq), content: { type: 'text', text } }),
  };
}
export function remove(by: UserId, targetSeq: number): Authored {
  return { by, draft: (place) => ({ ...place, kind: 'delete', targetSeq: seq(targetSeq) }) };
}
export function reaction(by: UserId, targetSeq: number, emoji: string, op: 'add' | 'remove' = 'add'): Authored {
  return { by, draft: (place) => ({ ...place, kind: 'reaction', targetSeq: seq(targetSeq), emoji, op }) };
}
export function pin(by: UserId, targetSeq: number, op: 'add' | 'remove' = 'add'): Authored {
  return { by, draft: (place) => ({ ...place, kind: 'pin', targetSeq: seq(targetSeq), op }) };
}
export function added(by: UserId, userIds: UserId[]): Authored {
  return { by, draft: (place) => ({ ...place, kind: 'member', op: 'added', userIds }) };
}
export function renamed(by: UserId, name: string): Authored {
  return { by, draft: (place) => ({ ...place, kind: 'settings', changes: { name } }) };
}

export interface Position {
  readonly seq: number;
  readonly ordinal: number;
  readonly memberSeq: number;
}
export const START: Position = { seq: 0, ordinal: 0, memberSeq: 0 };

/** When the entry with this position was sent: a second apart. */
export function sentAtMs(at: number): number {
  return FIRST_AT_MS + at * 1_000;
}

/** Gives drafts their places after `from`. */
export function place(conversationId: ConversationId, from: Position, drafts: readonly Authored[]): StoredEntry[] {
  let { ordinal, memberSeq } = from;
  return drafts.map(({ by, draft }, index) => {
    const at = from.seq + index + 1;
    const entry = draft({
      conversationId,
      seq: seq(at),
      id: entryId(conversationId, at),
      senderId: by,
      sentAt: new Date(sentAtMs(at)).toISOString(),
    });
    if (entry.kind === 'message') ordinal += 1;
    if (entry.kind === 'member') memberSeq = at;
    return { entry, json: JSON.stringify(entry), ordinal, memberSeq: seq(memberSeq) };
  });
}

export function positionOf(entries: readonly StoredEntry[]): Position {
  const last = entries.at(-1);
  return last === undefined ? START : { seq: last.entry.seq, ordinal: last.ordinal, memberSeq: last.memberSeq };
}

/** One writer of one conversation, which knows where it stands. */
export class Scribe {
  readonly conversationId: ConversationId;
  readonly #log: ConversationLog;
  readonly #writer: string | undefined;
  #at: Position = START;

  constructor(log: ConversationLog, conversationId: ConversationId, writer?: string) {
    this.#log = log;
    this.#writer = writer;
    this.conversationId = conversationId;
  }

  get at(): Position {
    return this.#at;
  }

  /** Appends in one step, or as few as the log allows, and answers what was written. */
  async write(...drafts: Authored[]): Promise<readonly StoredEntry[]> {
    const written: StoredEntry[] = [];
    while (written.length < drafts.length) {
      const expectedHead = seq(this.#at.seq);
      const most = this.#log.appendLimit(expectedHead);
      const entries = place(this.conversationId, this.#at, drafts.slice(written.length, written.length + most));
      const outcome = await this.#log.append(this.conversationId, expectedHead, entries, this.#writer);
      if (outcome.kind !== 'appended') throw new Error(`The scribe of ${this.conversationId} is not alone`);
      this.#at = positionOf(entries);
      written.push(...entries);
    }
    return written;
  }

  /** An append that expects another head. */
  async attempt(expectedHead: number, ...drafts: Authored[]): Promise<AppendOutcome> {
    const entries = place(this.conversationId, { ...this.#at, seq: expectedHead }, drafts);
    return this.#log.append(this.conversationId, seq(expectedHead), entries);
  }
}

/** The plain definition of a tally: visits every entry. */
export function recount(
  entries: readonly StoredEntry[],
  userId: UserId,
  afterSeq: number,
): { unread: number; mentions: number } {
  const unread = entries.filter(
    ({ entry }) =>
      entry.kind === 'message' && entry.seq > afterSeq && entry.senderId !== userId && entry.deletedAt === undefined,
  );
  const mentioning = unread.filter(
    ({ entry }) =>
      entry.kind === 'message' &&
      entry.mentions?.some((mention) => mention === userId || MENTION_ALL.has(mention)) === true,
  );
  return { unread: unread.length, mentions: mentioning.length };
}
