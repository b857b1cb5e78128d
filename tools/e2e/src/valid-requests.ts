import type { ClientEvent, RouteName, ROUTES } from '@parley/contracts';
import type { z } from 'zod';

import { PASSWORD, type Person } from './person.js';

/** Routes that take a body: the compiler names the one for which there is no valid one here. */
export type RouteWithBody = {
  [N in RouteName]: (typeof ROUTES)[N] extends { body: z.ZodType } ? N : never;
}[RouteName];

/** What the requests below speak of. */
export interface Setting {
  readonly caller: Person;
  readonly other: Person;
  readonly conversationId: string;
}

const content = { type: 'text', text: 'x' };

/** For every route a body that its schema accepts, to be spoilt field by field. */
export function validBodies({ caller, other }: Setting): Readonly<Record<RouteWithBody, Record<string, unknown>>> {
  return {
    register: { username: other.user.username, password: PASSWORD, displayName: 'Someone' },
    login: { username: caller.user.username, password: 'not the password' },
    refresh: { refreshToken: 'nonsense' },
    updateMe: { displayName: 'Someone', avatarUrl: null },
    createApiKey: { name: 'Key', scopes: ['messages:read'] },
    createConversation: {
      type: 'group',
      memberIds: [other.id],
      name: 'n',
      topic: 't',
      visibility: 'private',
      history: 'all',
    },
    updateConversation: { name: 'n', topic: 't', visibility: 'private', history: 'joined' },
    addMembers: { userIds: [other.id] },
    updateMember: { role: 'member' },
    send: { clientId: 'spoilt', content, parentSeq: 1, mentions: [other.id] },
    editMessage: { content },
    markRead: { seq: 1 },
    markUnread: { seq: 1 },
    sync: { cursors: {}, limit: 10 },
    session: { deviceId: 'phone', platform: 'test' },
  };
}

export function validParams({ other, conversationId }: Setting): Readonly<Record<string, string | number>> {
  return { conversationId, userId: other.id, seq: 1, emoji: '👍', keyId: 'no-such-key' };
}

/** For every event a request that its schema accepts. */
export function validRequests({
  other,
  conversationId,
}: Setting): Readonly<Record<ClientEvent, Record<string, unknown>>> {
  const address = { conversationId, seq: 1 };
  return {
    'message.send': { conversationId, clientId: 'spoilt', content, parentSeq: 1, mentions: [other.id] },
    'message.edit': { ...address, content },
    'message.delete': address,
    'reaction.add': { ...address, emoji: '👍' },
    'reaction.remove': { ...address, emoji: '👍' },
    'read.mark': address,
    'delivered.mark': address,
    'typing.start': { conversationId },
    'typing.stop': { conversationId },
    'presence.subscribe': { userIds: [other.id] },
    'presence.unsubscribe': { userIds: [other.id] },
    sync: { cursors: {}, limit: 10 },
  };
}

/** Values that hardly any field takes. */
export const ODD_VALUES: readonly unknown[] = [
  ...[
    null,
    true,
    -1,
    0,
    1.5,
    1e308,
    Number.MAX_SAFE_INTEGER,
    '',
    ' ',
    '\u0000',
    '\ud800',
    '../..',
    '1; DROP TABLE users',
  ],
  ...['x'.repeat(41_000), [], [null], [[]], {}, { type: null }, { type: 'text' }, { length: 1 }, { toString: 1 }],
];
