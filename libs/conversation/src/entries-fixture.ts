import { type ConversationId, entryId, type LogEntry, type MessageEntry, seq, type UserId } from '@parley/contracts';

/** For specs: entries of one conversation, a second apart. */
export const CONVERSATION = 'c1' as ConversationId;
export const ANN = 'ann' as UserId;
export const BOB = 'bob' as UserId;
export const CAT = 'cat' as UserId;

export const sentAt = (at: number): string => new Date(Date.UTC(2026, 0, 1) + at * 1_000).toISOString();

export function common(at: number, senderId: UserId) {
  return { conversationId: CONVERSATION, seq: seq(at), id: entryId(CONVERSATION, at), senderId, sentAt: sentAt(at) };
}
export function message(at: number, by: UserId = ANN, more: Partial<MessageEntry> = {}): MessageEntry {
  return { ...common(at, by), kind: 'message', content: text(`message ${at}`), ...more };
}
export function edit(at: number, targetSeq: number, content = text(`edit ${at}`), by: UserId = ANN): LogEntry {
  return { ...common(at, by), kind: 'edit', targetSeq: seq(targetSeq), content };
}
export function remove(at: number, targetSeq: number, by: UserId = ANN): LogEntry {
  return { ...common(at, by), kind: 'delete', targetSeq: seq(targetSeq) };
}
export function react(
  at: number,
  targetSeq: number,
  emoji: string,
  by: UserId,
  op: 'add' | 'remove' = 'add',
): LogEntry {
  return { ...common(at, by), kind: 'reaction', targetSeq: seq(targetSeq), emoji, op };
}
export function pin(at: number, targetSeq: number, op: 'add' | 'remove' = 'add', by: UserId = ANN): LogEntry {
  return { ...common(at, by), kind: 'pin', targetSeq: seq(targetSeq), op };
}
export const text = (value: string) => ({ type: 'text' as const, text: value });
