import type { types } from 'cassandra-driver';

import { type ConversationId, MENTION_ALL } from '@parley/contracts';

import type { Tally, TallyRequest } from './conversation-log.js';
import type { Entries } from './cassandra-entries.js';
import type { Heads } from './cassandra-heads.js';
import { seqIn, textIn, textsIn } from './cassandra-rows.js';
import { inParallel } from './gate.js';

const CONVERSATIONS_IN_FLIGHT = 16;
const NOTHING: Tally = { unread: 0, mentions: 0 };

/** A message that counts, unless it is one's own. */
export interface CountableMessage {
  readonly seq: number;
  readonly senderId: string;
  readonly mentions: readonly string[];
}

/**
 * Counts by looking at the messages after the earliest position asked for, once per conversation whoever asks, in the
 * small columns only. Who has read everything costs no look: the head says where the last message is.
 */
export async function tally(
  requests: readonly TallyRequest[],
  heads: Heads,
  entries: Entries,
): Promise<readonly Tally[]> {
  const byConversation = new Map<ConversationId, number[]>();
  requests.forEach(({ conversationId }, index) => {
    const beside = byConversation.get(conversationId);
    if (beside === undefined) byConversation.set(conversationId, [index]);
    else beside.push(index);
  });
  const found = await heads.readMany([...byConversation.keys()]);
  const tallies = requests.map(() => NOTHING);
  await inParallel([...byConversation], CONVERSATIONS_IN_FLIGHT, async ([conversationId, indexes]) => {
    const last = found.get(conversationId)?.lastMessageSeq ?? 0;
    const behind = indexes.flatMap((index) => {
      const request = requests[index];
      return request === undefined || request.afterSeq >= last ? [] : [{ index, request }];
    });
    if (behind.length === 0) return;
    const after = behind.reduce((least, { request }) => Math.min(least, request.afterSeq), last);
    const rows = await entries.messageFacts(conversationId, after, last);
    const count = counter(rows.flatMap(toCountable));
    for (const { index, request } of behind) tallies[index] = count(request.userId, request.afterSeq);
  });
  return tallies;
}

function toCountable(row: types.Row): CountableMessage[] {
  if (textIn(row, 'deleted_at') !== undefined) return [];
  return [{ seq: seqIn(row, 'seq'), senderId: textIn(row, 'sender_id') ?? '', mentions: textsIn(row, 'mentions') }];
}

/** Prepares messages, ascending, for many questions about them: each is answered by searching sorted positions. */
export function counter(messages: readonly CountableMessage[]): (userId: string, afterSeq: number) => Tally {
  const all = messages.map(({ seq }) => seq);
  const own = new Map<string, number[]>();
  /** Positions of others' messages that mention a person; those that mention everyone are under EVERYONE alone. */
  const naming = new Map<string, number[]>();
  const ownToAll = new Map<string, number[]>();
  const toAll: number[] = [];
  for (const { seq, senderId, mentions } of messages) {
    push(own, senderId, seq);
    if (mentions.some((mention) => MENTION_ALL.has(mention))) {
      toAll.push(seq);
      push(ownToAll, senderId, seq);
    } else {
      for (const userId of new Set(mentions)) if (userId !== senderId) push(naming, userId, seq);
    }
  }
  return (userId, afterSeq) => ({
    unread: after(all, afterSeq) - after(own.get(userId), afterSeq),
    mentions: after(naming.get(userId), afterSeq) + after(toAll, afterSeq) - after(ownToAll.get(userId), afterSeq),
  });
}

function push(lists: Map<string, number[]>, key: string, value: number): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

/** How many of ascending numbers are greater. */
function after(ascending: readonly number[] | undefined, limit: number): number {
  if (ascending === undefined) return 0;
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] ?? 0) > limit) high = middle;
    else low = middle + 1;
  }
  return ascending.length - low;
}
