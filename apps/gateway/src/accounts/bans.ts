import { ParleyError, type UserId, type WorkspaceId } from '@parley/contracts';
import type { Directory, UserRecord } from '@parley/directory';

import type { SessionEnded } from './sign-in.js';

export interface BansOptions {
  readonly directory: Directory;
  readonly publish: (record: SessionEnded) => Promise<void>;
  readonly nowMs: () => number;
}

/** Shuts a user of the workspace out: every sign-in, key and session of theirs ends. Repeating it says so again. */
export async function ban(options: BansOptions, workspaceId: WorkspaceId, userId: UserId): Promise<UserRecord> {
  const { directory, publish, nowMs } = options;
  const banned = await change(directory, workspaceId, userId, new Date(nowMs()).toISOString());
  await publish({ kind: 'session.ended', workspaceId, userId, familyId: null, code: 'forbidden' });
  return banned;
}

/** Lets a user sign in again; what the ban has ended stays ended. */
export function unban(options: BansOptions, workspaceId: WorkspaceId, userId: UserId): Promise<UserRecord> {
  return change(options.directory, workspaceId, userId, null);
}

async function change(
  directory: Directory,
  workspaceId: WorkspaceId,
  userId: UserId,
  bannedAt: string | null,
): Promise<UserRecord> {
  const known = (await directory.users(workspaceId, [userId])).get(userId);
  const changed = known === undefined ? null : await directory.setBanned(userId, bannedAt);
  if (changed === null) throw new ParleyError('not_found', 'There is no such user');
  return changed;
}
