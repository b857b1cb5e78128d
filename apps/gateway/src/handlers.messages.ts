import { type ConversationId, type Message, ParleyError, type RoutingLink, type Seq, seq } from '@parley/contracts';
import { foldMessage, viewMessage } from '@parley/conversation';
import type { Directory } from '@parley/directory';

import { type ReadAccess, readAccess } from './access.js';
import type { Caller } from './accounts/caller.js';
import type { Assignments } from './assignment.js';
import { seqOf, submit } from './commands.js';
import type { HandlerContext, RestHandlers } from './http-api.js';
import type { Positions } from './positions.js';
import type { Projection } from './projection.js';
import type { Reading } from './reading.js';
import type { Sync } from './sync.js';

const PAGE = 50;
const SYNC_PAGE = 200;

export interface MessagePorts {
  readonly directory: Directory;
  readonly projection: Projection;
  readonly reading: Reading;
  readonly sync: Sync;
  readonly positions: Positions;
  readonly assignments: Assignments;
  readonly routing: RoutingLink;
  readonly publicUrl: string | undefined;
}

type Names =
  | 'send'
  | 'messages'
  | 'message'
  | 'editMessage'
  | 'deleteMessage'
  | 'addReaction'
  | 'removeReaction'
  | 'pin'
  | 'unpin'
  | 'pins'
  | 'replies'
  | 'receipts'
  | 'markRead'
  | 'markUnread'
  | 'syncConversation'
  | 'sync'
  | 'session';

/** Messages, reading positions, catching up, sessions. */
export function messageHandlers(ports: MessagePorts): Pick<RestHandlers, Names> {
  const { directory, projection, reading, routing, positions } = ports;
  const access = (caller: Caller, id: ConversationId): Promise<ReadAccess> =>
    readAccess(projection, directory, caller, id);

  const asItReads = async (caller: Caller, id: ConversationId, at: Seq): Promise<Message> =>
    reading.message(await access(caller, id), caller.userId, at);

  const entrySeq = async (
    context: HandlerContext,
    id: ConversationId,
    body: Parameters<typeof submit>[3],
  ): Promise<{ status: 200; body: { seq: Seq } }> => {
    const outcome = await submit(routing, context, id, body);
    return { status: 200, body: { seq: seqOf(outcome) } };
  };

  return {
    async send({ params, body }, context) {
      const outcome = await submit(routing, context, params.conversationId, { kind: 'message', ...body });
      if (outcome.kind === 'unchanged' || outcome.entry.kind !== 'message') {
        throw new ParleyError('internal', 'Routing accepted something else');
      }
      const { userId } = context.caller;
      if (outcome.kind === 'accepted') {
        return { status: 201, body: viewMessage(foldMessage(outcome.entry, []), userId) };
      }
      return { status: 200, body: await asItReads(context.caller, params.conversationId, outcome.entry.seq) };
    },
    async messages({ params, query }, { caller }) {
      const { before, after, around } = query;
      const given = Object.entries({ before, after, around }).filter(([, value]) => value !== undefined);
      if (given.length > 1) {
        const message = 'only one of before, after and around';
        throw new ParleyError('invalid', message, { issues: [{ path: given[1]?.[0] ?? '', message }] });
      }
      const may = await access(caller, params.conversationId);
      const window =
        before !== undefined
          ? ({ kind: 'before', seq: before } as const)
          : after !== undefined
            ? ({ kind: 'after', seq: after } as const)
            : around !== undefined
              ? ({ kind: 'around', seq: around } as const)
              : ({ kind: 'latest' } as const);
      return { status: 200, body: await reading.page(may, caller.userId, window, query.limit ?? PAGE) };
    },
    message: async ({ params }, { caller }) => ({
      status: 200,
      body: await asItReads(caller, params.conversationId, params.seq),
    }),
    async editMessage({ params, body }, context) {
      const { conversationId, seq: targetSeq } = params;
      await submit(routing, context, conversationId, { kind: 'edit', targetSeq, content: body.content });
      return { status: 200, body: await asItReads(context.caller, conversationId, targetSeq) };
    },
    async deleteMessage({ params }, context) {
      const { conversationId, seq: targetSeq } = params;
      await submit(routing, context, conversationId, { kind: 'delete', targetSeq });
      return { status: 200, body: await asItReads(context.caller, conversationId, targetSeq) };
    },
    addReaction: ({ params: { conversationId, seq: targetSeq, emoji } }, context) =>
      entrySeq(context, conversationId, { kind: 'reaction', targetSeq, emoji, op: 'add' }),
    removeReaction: ({ params: { conversationId, seq: targetSeq, emoji } }, context) =>
      entrySeq(context, conversationId, { kind: 'reaction', targetSeq, emoji, op: 'remove' }),
    pin: ({ params: { conversationId, seq: targetSeq } }, context) =>
      entrySeq(context, conversationId, { kind: 'pin', targetSeq, op: 'add' }),
    unpin: ({ params: { conversationId, seq: targetSeq } }, context) =>
      entrySeq(context, conversationId, { kind: 'pin', targetSeq, op: 'remove' }),
    async pins({ params }, { caller }) {
      const may = await access(caller, params.conversationId);
      return { status: 200, body: { items: await reading.pins(may, caller.userId) } };
    },
    async replies({ params, query }, { caller }) {
      const may = await access(caller, params.conversationId);
      const after = query.after ?? seq(0);
      const page = await reading.replies(may, caller.userId, params.seq, after, query.limit ?? PAGE);
      return { status: 200, body: page };
    },
    async receipts({ params, query }, { caller }) {
      const { conversationId, seq: at } = params;
      const { senderId } = await asItReads(caller, conversationId, at);
      const page = { limit: query.limit ?? PAGE, cursor: query.cursor ?? null };
      const [counts, found] = await Promise.all([
        directory.countPositions(conversationId, at, senderId),
        directory.positionsFrom(conversationId, at, senderId, page),
      ]);
      const items = found.items.map(({ userId, readSeq, readAt, deliveredAt }) => ({
        userId,
        ...(deliveredAt === null ? {} : { deliveredAt }),
        ...(readSeq < at || readAt === null ? {} : { readAt }),
      }));
      return {
        status: 200,
        body: { deliveredCount: counts.delivered, readCount: counts.read, items, nextCursor: found.nextCursor },
      };
    },
    markRead: async ({ params, body }, { caller }) => ({
      status: 200,
      body: await positions.mark(caller, params.conversationId, 'read', body.seq),
    }),
    markUnread: async ({ params, body }, { caller }) => ({
      status: 200,
      body: await positions.mark(caller, params.conversationId, 'unread', body.seq),
    }),
    async syncConversation({ query }, { caller }) {
      const { facts, head, ranges } = await access(caller, query.conversationId);
      const page = await ports.sync.page(facts.id, head, ranges, query.after ?? seq(0), query.limit ?? SYNC_PAGE);
      return { status: 200, body: page };
    },
    sync: async ({ body }, { caller }) => ({ status: 200, body: await ports.sync.all(caller, body) }),
    session: async ({ body }, { caller, origin }) => ({
      status: 200,
      body: ports.assignments.assign(caller, body.deviceId, ports.publicUrl ?? origin),
    }),
  };
}
