import {
  type ConversationId,
  type LogEntry,
  type MessagesRecord,
  type PublishedEntry,
  seq,
  type SessionId,
  type WorkspaceId,
} from '@parley/contracts';

import type * as wire from '../generated/parley/v1/topics.js';
import { conversationTypes, histories } from './enums.js';
import { present, required } from './fields.js';

export function recordToMessage(record: MessagesRecord): wire.MessagesRecord {
  return {
    workspaceId: record.workspaceId,
    conversationId: record.conversationId,
    type: conversationTypes.to(record.type),
    history: histories.to(record.history),
    entries: record.entries.map(entryToMessage),
  };
}

export function recordFromMessage(record: wire.MessagesRecord): MessagesRecord {
  return {
    workspaceId: record.workspaceId as WorkspaceId,
    conversationId: record.conversationId as ConversationId,
    type: conversationTypes.from(record.type),
    history: histories.from(record.history),
    entries: record.entries.map(entryFromMessage),
  };
}

/** The entry travels as the JSON that the log keeps, byte for byte. */
function entryToMessage(entry: PublishedEntry): wire.PublishedEntry {
  return {
    stored: {
      json: Buffer.from(entry.json),
      seq: entry.entry.seq,
      ordinal: entry.ordinal,
      memberSeq: entry.memberSeq,
    },
    ...present('originSessionId', entry.originSessionId),
    prevMemberSeq: entry.prevMemberSeq,
    ...present('traceparent', entry.traceparent),
    receivedAtMs: Math.floor(entry.receivedAtMs),
  };
}

function entryFromMessage(message: wire.PublishedEntry): PublishedEntry {
  const { json, ordinal, memberSeq } = required(message.stored, 'entry');
  const text = json.toString();
  return {
    entry: JSON.parse(text) as LogEntry,
    json: text,
    ordinal,
    memberSeq: seq(memberSeq),
    ...present('originSessionId', message.originSessionId as SessionId | undefined),
    prevMemberSeq: seq(message.prevMemberSeq),
    ...present('traceparent', message.traceparent),
    receivedAtMs: message.receivedAtMs,
  };
}
