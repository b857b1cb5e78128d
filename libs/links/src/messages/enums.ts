import type { ConversationType, ErrorCode, History, PresenceStatus, Role, Visibility } from '@parley/contracts';

import * as wire from '../generated/parley/v1/common.js';
import { MarkKind as WireMarkKind } from '../generated/parley/v1/directory.js';
import { ChangeOp as WireChangeOp } from '../generated/parley/v1/routing.js';

interface Names<N extends string> {
  to(name: N): number;
  /** Throws for a number that this version has no name for. */
  from(value: number): N;
}

function names<N extends string>(what: string, numbers: Readonly<Record<N, number>>): Names<N> {
  const byNumber = new Map(Object.entries<number>(numbers).map(([name, value]) => [value, name as N]));
  return {
    to: (name) => numbers[name],
    from(value) {
      const name = byNumber.get(value);
      if (name === undefined) throw new Error(`A message has ${value} for its ${what}, which stands for nothing here`);
      return name;
    },
  };
}

export const conversationTypes = names<ConversationType>('conversation type', {
  direct: wire.ConversationType.CONVERSATION_TYPE_DIRECT,
  group: wire.ConversationType.CONVERSATION_TYPE_GROUP,
  channel: wire.ConversationType.CONVERSATION_TYPE_CHANNEL,
});

export const visibilities = names<Visibility>('visibility', {
  private: wire.Visibility.VISIBILITY_PRIVATE,
  public: wire.Visibility.VISIBILITY_PUBLIC,
});

export const histories = names<History>('history', {
  joined: wire.History.HISTORY_JOINED,
  all: wire.History.HISTORY_ALL,
});

export const roles = names<Role>('role', {
  owner: wire.Role.ROLE_OWNER,
  admin: wire.Role.ROLE_ADMIN,
  member: wire.Role.ROLE_MEMBER,
  guest: wire.Role.ROLE_GUEST,
});

export const presenceStatuses = names<PresenceStatus>('presence', {
  online: wire.PresenceStatus.PRESENCE_STATUS_ONLINE,
  away: wire.PresenceStatus.PRESENCE_STATUS_AWAY,
  offline: wire.PresenceStatus.PRESENCE_STATUS_OFFLINE,
});

export const changeOps = names<'add' | 'remove'>('operation', {
  add: WireChangeOp.CHANGE_OP_ADD,
  remove: WireChangeOp.CHANGE_OP_REMOVE,
});

export const markKinds = names<'read' | 'delivered'>('mark', {
  read: WireMarkKind.MARK_KIND_READ,
  delivered: WireMarkKind.MARK_KIND_DELIVERED,
});

export const errorCodes = names<ErrorCode>('error code', {
  invalid: wire.ErrorCode.ERROR_CODE_INVALID,
  unauthenticated: wire.ErrorCode.ERROR_CODE_UNAUTHENTICATED,
  token_expired: wire.ErrorCode.ERROR_CODE_TOKEN_EXPIRED,
  forbidden: wire.ErrorCode.ERROR_CODE_FORBIDDEN,
  not_found: wire.ErrorCode.ERROR_CODE_NOT_FOUND,
  conflict: wire.ErrorCode.ERROR_CODE_CONFLICT,
  idempotency_conflict: wire.ErrorCode.ERROR_CODE_IDEMPOTENCY_CONFLICT,
  too_large: wire.ErrorCode.ERROR_CODE_TOO_LARGE,
  unsupported: wire.ErrorCode.ERROR_CODE_UNSUPPORTED,
  rate_limited: wire.ErrorCode.ERROR_CODE_RATE_LIMITED,
  overloaded: wire.ErrorCode.ERROR_CODE_OVERLOADED,
  unavailable: wire.ErrorCode.ERROR_CODE_UNAVAILABLE,
  internal: wire.ErrorCode.ERROR_CODE_INTERNAL,
});
