import { describe, expect, it } from '@jest/globals';
import { type ConversationId, LogEntry, ParleyError, seq, type StoredEntry } from '@parley/contracts';
import type { ConversationLog } from '@parley/conversation-log';
import type { CachedHead, HeadCache } from '@parley/head-cache';
import { ManualClock } from '@parley/service-kit';

import { withRecent } from './recent-reads.js';

const ID = 'c_1' as ConversationId;
const away = { read: () => Promise.reject(new ParleyError('unavailable', 'the log is away')) };

function message(at: number): StoredEntry {
  const entry = LogEntry.parse({
    kind: 'message',
    conversationId: ID,
    seq: at,
    id: `m_${at}`,
    senderId: 'ann',
    sentAt: new Date(0).toISOString(),
    content: { type: 'text', text: `${at}` },
  });
  return { entry, json: JSON.stringify(entry), ordinal: at, memberSeq: seq(0) };
}

/** A log that is away, and a cache that has some entries of it. */
function reading(from: number, to: number): ConversationLog {
  const all = Array.from({ length: to - from + 1 }, (_none, at) => message(from + at));
  const head = { seq: seq(to) } as CachedHead;
  const cache: Pick<HeadCache, 'recent'> = {
    recent: async (_id, { after, limit }) => ({
      head,
      firstSeq: seq(from),
      entries: all.filter(({ entry }) => entry.seq > after).slice(0, limit),
    }),
  };
  return withRecent(away as Partial<ConversationLog> as ConversationLog, cache as HeadCache, new ManualClock());
}

describe('while the log is away', () => {
  it('what the cache has is read from it', async () => {
    const found = await reading(5, 9).read(ID, { after: seq(6), upTo: seq(8), limit: 10 });
    expect(found.map(({ entry }) => entry.seq)).toEqual([7, 8]);
  });

  it('what it has dropped is not said to be nothing', async () => {
    await expect(reading(5, 9).read(ID, { after: seq(2), limit: 10 })).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('what it has not heard of yet is not said to be nothing: a resend would be told that it does not exist', async () => {
    const read = reading(5, 9).read(ID, { after: seq(9), upTo: seq(10), limit: 1 });
    await expect(read).rejects.toMatchObject({ code: 'unavailable' });
  });
});
