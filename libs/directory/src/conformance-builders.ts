import { randomUUID } from 'node:crypto';

import {
  type ConversationId,
  type ConversationType,
  entryId,
  type LogEntry,
  type MemberEntry,
  type Role,
  seq,
  type SettingsChanges,
  type UserId,
  type WorkspaceId,
} from '@parley/contracts';

import type { Directory, NewConversation, NewUser, UserRecord } from './directory.js';

const run = randomUUID().slice(0, 8);
let made = 0;

/** Ids of this run alone, so that the suite can share a database with earlier runs. */
export function fresh(prefix: string): string {
  made += 1;
  return `${prefix}-${run}-${String(made).padStart(6, '0')}`;
}
export const freshWorkspace = (): WorkspaceId => fresh('w') as WorkspaceId;
export const freshUserId = (): UserId => fresh('u') as UserId;
export const freshConversationId = (): ConversationId => fresh('c') as ConversationId;

/** A moment, in minutes from an arbitrary start. */
export const at = (minute: number): string => new Date(Date.UTC(2026, 0, 1) + minute * 60_000).toISOString();

export function newUser(change: Partial<NewUser> & { readonly workspaceId: WorkspaceId }): NewUser {
  const id = change.id ?? freshUserId();
  return { id, username: id, displayName: `Name of ${id}`, passwordHash: null, bot: false, ...change };
}

export async function people(
  directory: Directory,
  workspaceId: WorkspaceId,
  count: number,
): Promise<readonly UserRecord[]> {
  const created = await Promise.all(
    Array.from({ length: count }, () => directory.createUser(newUser({ workspaceId }), at(0))),
  );
  return created.map(({ user }) => user);
}

export function newConversation(
  workspaceId: WorkspaceId,
  type: ConversationType,
  userIds: readonly UserId[],
  change: Partial<NewConversation> = {},
): NewConversation {
  return {
    workspaceId,
    id: freshConversationId(),
    type,
    name: type === 'direct' ? null : 'Name',
    topic: null,
    visibility: 'private',
    history: type === 'channel' ? 'all' : 'joined',
    createdBy: userIds[0] ?? freshUserId(),
    createdAt: at(0),
    members: userIds.map((userId, index) => ({ userId, role: index === 0 ? 'owner' : 'member' })),
    ...change,
  };
}

const common = (conversationId: ConversationId, n: number) => ({
  conversationId,
  seq: seq(n),
  id: entryId(conversationId, n),
  senderId: 'someone' as UserId,
  sentAt: at(n),
});

export function memberEntry(
  id: ConversationId,
  n: number,
  op: MemberEntry['op'],
  userIds: readonly UserId[],
  role?: Role,
): MemberEntry {
  return { ...common(id, n), kind: 'member', op, userIds: [...userIds], ...(role === undefined ? {} : { role }) };
}

export function settingsEntry(id: ConversationId, n: number, changes: SettingsChanges): LogEntry {
  return { ...common(id, n), kind: 'settings', changes };
}

export function messageEntry(id: ConversationId, n: number): LogEntry {
  return { ...common(id, n), kind: 'message', content: { type: 'text', text: `message ${n}` } };
}

/** Applies entries that are the whole of what there is between `from` and the last of them. */
export function apply(
  directory: Directory,
  id: ConversationId,
  from: number,
  entries: readonly LogEntry[],
  upTo?: number,
) {
  const last = upTo ?? entries.at(-1)?.seq ?? from;
  return directory.applyEntries(id, entries, { from: seq(from), upTo: seq(last) });
}

/** All items of a listing, page by page. */
export async function allPages<T>(
  page: (cursor: string | null) => Promise<{ readonly items: readonly T[]; readonly nextCursor: string | null }>,
): Promise<readonly (readonly T[])[]> {
  const pages: (readonly T[])[] = [];
  let cursor: string | null = null;
  do {
    const { items, nextCursor }: { readonly items: readonly T[]; readonly nextCursor: string | null } =
      await page(cursor);
    pages.push(items);
    cursor = nextCursor;
  } while (cursor !== null && pages.length < 100);
  return pages;
}
