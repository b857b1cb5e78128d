import type { Presence, PresenceBeat, UserId, WorkspaceId } from '@parley/contracts';

import type * as common from '../generated/parley/v1/common.js';
import type * as wire from '../generated/parley/v1/presence.js';
import { presenceStatuses } from './enums.js';
import { present } from './fields.js';

export function beatToMessage({ workspaceId, userId, status }: PresenceBeat): wire.PresenceBeat {
  return { workspaceId, userId, status: presenceStatuses.to(status) };
}

export function beatFromMessage({ workspaceId, userId, status }: wire.PresenceBeat): PresenceBeat {
  const known = presenceStatuses.from(status);
  if (known === 'offline') throw new Error('A beat says offline, which nobody beats');
  return { workspaceId: workspaceId as WorkspaceId, userId: userId as UserId, status: known };
}

export function presenceToMessage({ userId, status, lastSeenAt }: Presence): common.Presence {
  return { userId, status: presenceStatuses.to(status), ...present('lastSeenAt', lastSeenAt ?? undefined) };
}

export function presenceFromMessage({ userId, status, lastSeenAt }: common.Presence): Presence {
  return { userId: userId as UserId, status: presenceStatuses.from(status), lastSeenAt: lastSeenAt ?? null };
}
