import {
  type ClientAck,
  type ClientEvent,
  type ClientRequest,
  type Command,
  type CommandBody,
  type ConversationId,
  type DirectoryLink,
  ParleyError,
  type RoutingLink,
  seq,
} from '@parley/contracts';
import type { Clock } from '@parley/service-kit';

import type { PresenceFeed } from './presence-feed.js';
import type { Session } from './session.js';
import type { TypingIndicator } from './typing.js';

/** One request of one session. */
export interface RequestMeta {
  readonly session: Session;
  readonly requestId: string;
  readonly traceparent: string | undefined;
}

export interface RequestPorts {
  readonly routing: RoutingLink;
  readonly directory: DirectoryLink;
  readonly typing: TypingIndicator;
  readonly presence: PresenceFeed;
  readonly clock: Clock;
}

type Handlers = {
  readonly [E in ClientEvent]: (request: ClientRequest<E>, meta: RequestMeta) => Promise<ClientAck<E>>;
};

/** What each socket request does: parsed on the way in, acknowledged with what it returns. */
export function requestHandlers({ routing, directory, typing, presence, clock }: RequestPorts): Handlers {
  const actorOf = ({ workspaceId, userId }: Session) => ({ workspaceId, userId });

  const submit = async (conversationId: ConversationId, body: CommandBody, meta: RequestMeta) => {
    const command: Command = {
      actor: actorOf(meta.session),
      conversationId,
      context: {
        requestId: meta.requestId,
        receivedAtMs: clock.now(),
        ...(meta.traceparent === undefined ? {} : { traceparent: meta.traceparent }),
      },
      originSessionId: meta.session.id,
      body,
    };
    const outcome = await routing.submit(command);
    if (outcome.kind === 'refused') throw ParleyError.from(outcome.refusal);
    return outcome;
  };

  const change = async (conversationId: ConversationId, body: CommandBody, meta: RequestMeta) => {
    const outcome = await submit(conversationId, body, meta);
    return { seq: outcome.kind === 'unchanged' ? outcome.seq : outcome.entry.seq };
  };

  return {
    'message.send': async ({ conversationId, clientId, content, parentSeq, mentions }, meta) => {
      const body = { kind: 'message', clientId, content, parentSeq, mentions } as const;
      const outcome = await submit(conversationId, body, meta);
      if (outcome.kind === 'unchanged') throw new ParleyError('internal', 'A message cannot be unchanged');
      const { entry } = outcome;
      return {
        message: {
          id: entry.id,
          seq: entry.seq,
          conversationId,
          clientId,
          senderId: entry.senderId,
          sentAt: entry.sentAt,
        },
        ...(outcome.kind === 'duplicate' ? { duplicate: true as const } : {}),
      };
    },
    'message.edit': ({ conversationId, seq: targetSeq, content }, meta) =>
      change(conversationId, { kind: 'edit', targetSeq, content }, meta),
    'message.delete': ({ conversationId, seq: targetSeq }, meta) =>
      change(conversationId, { kind: 'delete', targetSeq }, meta),
    'reaction.add': ({ conversationId, seq: targetSeq, emoji }, meta) =>
      change(conversationId, { kind: 'reaction', targetSeq, emoji, op: 'add' }, meta),
    'reaction.remove': ({ conversationId, seq: targetSeq, emoji }, meta) =>
      change(conversationId, { kind: 'reaction', targetSeq, emoji, op: 'remove' }, meta),
    'read.mark': ({ conversationId, seq: at }, { session }) =>
      directory.mark(actorOf(session), { kind: 'read', conversationId, seq: seq(at) }, session.id),
    'delivered.mark': ({ conversationId, seq: at }, { session }) =>
      directory.mark(actorOf(session), { kind: 'delivered', conversationId, seq: seq(at) }, session.id),
    'typing.start': async ({ conversationId }, { session }) => {
      await typing.start(session, conversationId);
      return {};
    },
    'typing.stop': async ({ conversationId }, { session }) => {
      await typing.stop(session, conversationId);
      return {};
    },
    'presence.subscribe': async ({ userIds }, { session }) => ({
      presences: [...(await presence.subscribe(session, userIds))],
    }),
    'presence.unsubscribe': async ({ userIds }, { session }) => {
      presence.unsubscribe(session, userIds);
      return { presences: [] };
    },
    sync: (body, { session }) => directory.sync(actorOf(session), body),
  };
}
