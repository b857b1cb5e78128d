import { ParleyError } from '@parley/contracts';
import type {
  ApiKey,
  ConversationFacts,
  ConversationId,
  Scope,
  Seq,
  User,
  UserId,
  WorkspaceId,
} from '@parley/contracts';
import type { Selectable } from 'kysely';

import type { TokenFamily, UserRecord } from './directory.js';
import type { Schema } from './schema.js';

/** Decoders: the one place where plain columns become the port's branded types. */

export const USER_COLUMNS = [
  'users.id',
  'users.workspace_id',
  'users.username',
  'users.display_name',
  'users.avatar_url',
  'users.bot',
  'users.admin',
  'users.banned_at',
  'users.created_at',
] as const;
type UserRow = Pick<
  Selectable<Schema['users']>,
  'id' | 'workspace_id' | 'username' | 'display_name' | 'avatar_url' | 'bot' | 'admin' | 'banned_at' | 'created_at'
>;

export function toPublicUser(row: Pick<UserRow, 'id' | 'username' | 'display_name' | 'avatar_url' | 'bot'>): User {
  return {
    id: row.id as UserId,
    username: row.username,
    displayName: row.display_name,
    ...(row.avatar_url === null ? {} : { avatarUrl: row.avatar_url }),
    ...(row.bot === 1 ? { bot: true } : {}),
  };
}

export function toUser(row: UserRow): UserRecord {
  return {
    ...toPublicUser(row),
    workspaceId: row.workspace_id as WorkspaceId,
    admin: row.admin === 1,
    bannedAt: row.banned_at,
    createdAt: row.created_at,
  };
}

export function toFamily(
  row: Pick<Selectable<Schema['families']>, 'id' | 'user_id' | 'workspace_id' | 'ended_at'>,
): TokenFamily {
  return {
    id: row.id,
    userId: row.user_id as UserId,
    workspaceId: row.workspace_id as WorkspaceId,
    endedAt: row.ended_at,
  };
}

export function toApiKey(row: Omit<Selectable<Schema['api_keys']>, 'secret_hash' | 'workspace_id'>): ApiKey {
  return {
    id: row.id,
    name: row.name,
    scopes: JSON.parse(row.scopes) as Scope[],
    userId: row.user_id as UserId,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  };
}

export const FACTS_COLUMNS = [
  'conversations.id',
  'conversations.workspace_id',
  'conversations.type',
  'conversations.name',
  'conversations.topic',
  'conversations.visibility',
  'conversations.history',
  'conversations.created_by',
  'conversations.created_at',
  'conversations.deleted_at',
  'conversations.member_count',
  'conversations.applied_seq',
] as const;
export type FactsRow = Omit<Selectable<Schema['conversations']>, 'name_key' | 'direct_key'>;

export function toFacts(row: FactsRow): ConversationFacts {
  return {
    workspaceId: row.workspace_id as WorkspaceId,
    id: row.id as ConversationId,
    type: row.type,
    name: row.name,
    topic: row.topic,
    visibility: row.visibility,
    history: row.history,
    createdBy: row.created_by as UserId,
    createdAt: row.created_at,
    deletedAt: row.deleted_at,
    memberCount: row.member_count,
    appliedSeq: row.applied_seq as Seq,
  };
}

/** The bounds that the port names: more is a bug of the caller. */
export function atMost(max: number, ids: readonly string[]): void {
  if (ids.length > max) throw new RangeError(`${ids.length} ids, at most ${max} are permitted`);
}

/** A row that this very transaction has written. */
export function present<T>(row: T | undefined, what: string): T {
  if (row === undefined) throw new ParleyError('internal', `The directory lost ${what}`);
  return row;
}
