import { eventOf, type Frame, type LogEntry, type ServerPayload, type StoredEntry } from '@parley/contracts';

/** The one event of an entry; its payload is the entry's JSON as the log keeps it. */
export function entryFrame({ entry, json }: StoredEntry): Frame {
  return { event: eventOf(entry), data: json };
}

export function threadFrame(payload: ServerPayload<'thread.updated'>): Frame {
  return { event: 'thread.updated', data: JSON.stringify(payload) };
}

/** People whom an entry concerns by name: they hear of it wherever they are, not through the channel's room. */
export function affectedUsers(entry: LogEntry) {
  return entry.kind === 'member' && entry.op !== 'role' ? entry.userIds : [];
}
