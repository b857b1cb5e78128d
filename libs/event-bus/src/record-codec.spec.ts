import { describe, expect, it } from '@jest/globals';

import {
  type ConversationId,
  DEFAULT_WORKSPACE,
  type MessageEntry,
  type MessagesRecord,
  type PublishedEntry,
  seq,
  type SessionId,
  type UserId,
} from '@parley/contracts';

import { decodeValue, encodeValue, UnreadableRecord, WIRE_VERSION } from './record-codec.js';

const CONVERSATION = 'c_1' as ConversationId;

function published(at: number, text: string, more: Partial<PublishedEntry> = {}): PublishedEntry {
  const entry: MessageEntry = {
    kind: 'message',
    conversationId: CONVERSATION,
    seq: seq(at),
    id: `c_1.${at}`,
    senderId: 'u_1' as UserId,
    sentAt: '2026-01-01T00:00:00.000Z',
    content: { type: 'text', text },
  };
  const json = JSON.stringify(entry);
  return { entry, json, ordinal: at, memberSeq: seq(0), prevMemberSeq: seq(0), receivedAtMs: 7, ...more };
}

function messages(entries: readonly PublishedEntry[]): MessagesRecord {
  return { workspaceId: DEFAULT_WORKSPACE, conversationId: CONVERSATION, type: 'group', history: 'joined', entries };
}

describe('the wire form of records', () => {
  it('gives back every byte of an entry, and what stands beside it', () => {
    const odd = published(1, 'a "quoted" \\ \u2028 \ud800 😀 \u0000 end', {
      originSessionId: 's_1' as SessionId,
      traceparent: '00-1-2-01',
    });
    const record = { ...messages([odd, published(2, 'plain')]), publishedAtMs: 8 };
    const [value] = encodeValue('messages', record);
    expect(decodeValue('messages', WIRE_VERSION, value ?? Buffer.alloc(0))).toEqual(record);
  });

  it('keeps fields of an entry that this version does not know', () => {
    const { entry, ...more } = published(1, 'x');
    const json = JSON.stringify({ ...entry, 9: 'first', later: { a: 1 } });
    const [value] = encodeValue('messages', messages([{ ...more, entry, json }]));
    const decoded = decodeValue('messages', WIRE_VERSION, value ?? Buffer.alloc(0));
    expect(decoded.entries[0]?.json).toBe(json);
    expect(decoded.entries[0]?.entry).toMatchObject({ later: { a: 1 } });
  });

  it('splits what is too long into several records, in order', () => {
    const record = messages(Array.from({ length: 10 }, (_, at) => published(at + 1, 'é'.repeat(100_000))));
    const values = encodeValue('messages', record);
    expect(values.length).toBeGreaterThan(1);
    for (const value of values) expect(value.length).toBeLessThan(750_000);
    const entries = values.flatMap((value) => decodeValue('messages', WIRE_VERSION, value).entries);
    expect(entries).toEqual(record.entries);
  });

  it('says what is wrong with a record that cannot be read', () => {
    const decode = (text: string, version = WIRE_VERSION) => decodeValue('presence', version, Buffer.from(text));
    expect(() => decode('{')).toThrow(UnreadableRecord);
    expect(() => decode('{"userId":"u"}')).toThrow(/status/);
    expect(() => decode('{}', '2')).toThrow('version 2');
  });
});
