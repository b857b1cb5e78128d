import type { ConversationType, Role } from '@parley/contracts';

export const ACTIONS = [
  'message.send',
  'message.edit.own',
  'message.delete.own',
  'message.delete.any',
  'mention.everyone',
  'reaction',
  'pin',
  'member.add',
  'member.remove',
  'member.role',
  'leave',
  'settings',
  'delete',
] as const;
export type Action = (typeof ACTIONS)[number];

const nobody: readonly Role[] = [];
const owners: readonly Role[] = ['owner'];
const admins: readonly Role[] = ['owner', 'admin'];
const members: readonly Role[] = ['owner', 'admin', 'member'];
const everyone: readonly Role[] = ['owner', 'admin', 'member', 'guest'];

/** Who may do what: the only place that says so. A role may act on members of a lower role than its own (see `outranks`). */
export const PERMISSIONS: Readonly<Record<ConversationType, Readonly<Record<Action, readonly Role[]>>>> = {
  direct: {
    'message.send': everyone,
    'message.edit.own': everyone,
    'message.delete.own': everyone,
    'message.delete.any': nobody,
    'mention.everyone': everyone,
    reaction: everyone,
    pin: everyone,
    'member.add': nobody,
    'member.remove': nobody,
    'member.role': nobody,
    leave: nobody,
    settings: nobody,
    delete: nobody,
  },
  group: {
    'message.send': everyone,
    'message.edit.own': everyone,
    'message.delete.own': everyone,
    'message.delete.any': admins,
    'mention.everyone': members,
    reaction: everyone,
    pin: members,
    'member.add': members,
    'member.remove': admins,
    'member.role': admins,
    leave: everyone,
    settings: members,
    delete: owners,
  },
  channel: {
    'message.send': everyone,
    'message.edit.own': everyone,
    'message.delete.own': everyone,
    'message.delete.any': admins,
    'mention.everyone': members,
    reaction: everyone,
    pin: members,
    'member.add': members,
    'member.remove': admins,
    'member.role': admins,
    leave: everyone,
    settings: admins,
    delete: owners,
  },
};

export function permits(type: ConversationType, action: Action, role: Role): boolean {
  return PERMISSIONS[type][action].includes(role);
}

const RANK: Readonly<Record<Role, number>> = { owner: 3, admin: 2, member: 1, guest: 0 };

/** Owners act on everyone, others only on those below them. */
export function outranks(role: Role, other: Role): boolean {
  return role === 'owner' || RANK[role] > RANK[other];
}

/** One gives away at most the role that one has. */
export function mayGrant(role: Role, granted: Role): boolean {
  return RANK[role] >= RANK[granted];
}
