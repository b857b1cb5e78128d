import {
  type CommandBody,
  ConversationId,
  type ConversationType,
  type DirectoryRecord,
  type History,
  ParleyError,
  type RoutingLink,
  seq,
  type UserId,
} from '@parley/contracts';
import type { CreateConversationOutcome, Directory } from '@parley/directory';
import type { Clock } from '@parley/service-kit';
import { nanoid } from 'nanoid';

import { readAccess } from './access.js';
import { publicUser } from './accounts/sign-in.js';
import { seqOf, submit } from './commands.js';
import type { ConversationViews } from './conversation-views.js';
import type { HandlerContext, RestHandlers } from './http-api.js';
import type { Projection } from './projection.js';

const PAGE = 50;
const MEMBERS_PAGE = 100;

export interface ConversationPorts {
  readonly directory: Directory;
  readonly projection: Projection;
  readonly views: ConversationViews;
  readonly routing: RoutingLink;
  /** Resolves when the record is safe. */
  readonly announce: (record: DirectoryRecord) => Promise<void>;
  readonly clock: Clock;
  /** Members of a group, its creator included: groups fan out on write. */
  readonly groupMembersMax: number;
}

type Names =
  | 'createConversation'
  | 'conversations'
  | 'publicChannels'
  | 'conversation'
  | 'updateConversation'
  | 'deleteConversation'
  | 'members'
  | 'addMembers'
  | 'updateMember'
  | 'removeMember'
  | 'join'
  | 'leave';

/** Conversations and their members. Changes are entries of the log; the directory's rows follow before the answer. */
export function conversationHandlers(ports: ConversationPorts): Pick<RestHandlers, Names> {
  const { directory, projection, views, routing } = ports;

  /** Appends the change and applies it, so that the caller reads what it wrote. */
  const change = async (context: HandlerContext, id: ConversationId, body: CommandBody) => {
    const outcome = await submit(routing, context, id, body);
    await projection.facts(id, seqOf(outcome));
    return outcome;
  };

  return {
    async createConversation({ body }, { caller }) {
      const { userId, workspaceId } = caller;
      const others = [...new Set(body.memberIds)].filter((id) => id !== userId);
      const type = checkedType(body, others, ports.groupMembersMax);
      await requireUsers(directory, workspaceId, others);
      const outcome = await directory.createConversation({
        workspaceId,
        id: ConversationId.parse(`c${nanoid()}`),
        type,
        name: type === 'direct' ? null : (body.name ?? null),
        topic: type === 'direct' ? null : (body.topic ?? null),
        visibility: body.visibility ?? 'private',
        history: body.history ?? defaultHistory(type),
        createdBy: userId,
        createdAt: new Date(ports.clock.now()).toISOString(),
        members: [
          { userId, role: type === 'direct' ? 'member' : 'owner' },
          ...others.map((other) => ({ userId: other, role: 'member' as const })),
        ],
      });
      if (outcome.kind === 'created') await ports.announce(created(outcome, [userId, ...others]));
      const view = await views.one(caller, outcome.conversation.id);
      return outcome.kind === 'created' ? { status: 201, body: view } : { status: 200, body: view };
    },
    conversations: async ({ query }, { caller }) => ({
      status: 200,
      body: await views.list(caller, query.limit ?? PAGE, query.cursor),
    }),
    async publicChannels({ query }, { caller }) {
      const page = { limit: query.limit ?? PAGE, cursor: query.cursor ?? null };
      const { items, nextCursor } = await directory.publicChannels(caller.workspaceId, query.query ?? null, page);
      const shown = items.map(({ id, name, topic, memberCount }) => ({ id, name, topic, memberCount }));
      return { status: 200, body: { items: shown, nextCursor } };
    },
    conversation: async ({ params }, { caller }) => ({
      status: 200,
      body: await views.one(caller, params.conversationId),
    }),
    async updateConversation({ params, body }, context) {
      await change(context, params.conversationId, { kind: 'settings', changes: body });
      return { status: 200, body: await views.one(context.caller, params.conversationId) };
    },
    async deleteConversation({ params }, context) {
      await change(context, params.conversationId, { kind: 'settings', changes: { deleted: true } });
      return { status: 204, body: null };
    },
    async members({ params, query }, { caller }) {
      await readAccess(projection, directory, caller, params.conversationId);
      const page = { limit: query.limit ?? MEMBERS_PAGE, cursor: query.cursor ?? null };
      const { items, nextCursor } = await directory.members(params.conversationId, page);
      return {
        status: 200,
        body: { items: items.map(({ user, role, joinedAt }) => ({ user, role, joinedAt })), nextCursor },
      };
    },
    async addMembers({ params, body }, context) {
      const { caller } = context;
      await requireUsers(directory, caller.workspaceId, body.userIds);
      const outcome = await change(context, params.conversationId, {
        kind: 'member',
        op: 'added',
        userIds: body.userIds,
      });
      const added = outcome.kind === 'accepted' && outcome.entry.kind === 'member' ? outcome.entry.userIds : [];
      return { status: 200, body: { seq: seqOf(outcome), added } };
    },
    async updateMember({ params, body }, context) {
      const { conversationId, userId } = params;
      await change(context, conversationId, { kind: 'member', op: 'role', userIds: [userId], role: body.role });
      const member = await directory.membershipOf(userId, conversationId);
      const user = (await directory.users(context.caller.workspaceId, [userId])).get(userId);
      if (member === null || user === undefined) throw new ParleyError('not_found', 'There is no such member');
      return { status: 200, body: { user: publicUser(user), role: member.role, joinedAt: member.joinedAt } };
    },
    async removeMember({ params }, context) {
      const { conversationId, userId } = params;
      await change(context, conversationId, { kind: 'member', op: 'removed', userIds: [userId] });
      return { status: 204, body: null };
    },
    async join({ params }, context) {
      await change(context, params.conversationId, { kind: 'join' });
      return { status: 200, body: await views.one(context.caller, params.conversationId) };
    },
    async leave({ params }, context) {
      await change(context, params.conversationId, { kind: 'leave' });
      return { status: 204, body: null };
    },
  };
}

function defaultHistory(type: ConversationType): History {
  return type === 'channel' ? 'all' : type === 'group' ? 'joined' : 'all';
}

function checkedType(
  body: {
    readonly type: ConversationType;
    readonly visibility?: string | undefined;
    readonly name?: string | undefined;
  },
  others: readonly UserId[],
  groupMembersMax: number,
): ConversationType {
  const invalid = (path: string, message: string): ParleyError =>
    new ParleyError('invalid', message, { issues: [{ path, message }] });
  if (body.type === 'direct' && others.length !== 1) {
    throw invalid('memberIds', 'A direct conversation is with exactly one other person');
  }
  if (body.type !== 'channel' && body.visibility === 'public') {
    throw invalid('visibility', 'Only channels can be public');
  }
  if (body.type === 'group' && others.length + 1 > groupMembersMax) {
    throw invalid('memberIds', `A group has at most ${groupMembersMax} members; a channel has no such bound`);
  }
  return body.type;
}

async function requireUsers(
  directory: Directory,
  workspaceId: Parameters<Directory['users']>[0],
  userIds: readonly UserId[],
): Promise<void> {
  const known = await directory.users(workspaceId, userIds);
  const missing = userIds.filter((userId) => known.get(userId) === undefined);
  if (missing.length === 0) return;
  throw new ParleyError('not_found', 'There is no such user', {
    issues: missing.slice(0, 20).map((userId) => ({ path: 'userIds', message: `no user ${userId}` })),
  });
}

function created({ conversation }: CreateConversationOutcome, userIds: readonly UserId[]): DirectoryRecord {
  const { appliedSeq: _applied, deletedAt: _deleted, ...facts } = conversation;
  return {
    kind: 'conversation.created',
    workspaceId: conversation.workspaceId,
    conversation: { ...facts, updatedAt: conversation.createdAt, head: seq(0) },
    members: userIds.map((userId, index) => ({
      userId,
      role: conversation.type !== 'direct' && index === 0 ? 'owner' : 'member',
    })),
  };
}
