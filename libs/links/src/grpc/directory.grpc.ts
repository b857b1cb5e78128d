import {
  type Actor,
  type ConversationId,
  type DirectoryLink,
  type ReadState,
  seq,
  type SessionId,
  type SyncBody,
  type SyncResult,
  type UserId,
} from '@parley/contracts';

import {
  DirectoryServiceService as METHODS,
  MarkRequest,
  MarkResponse,
  NumberedMark,
  NumberedMarkOutcome,
} from '../generated/parley/v1/directory.js';
import { actorFromMessage } from '../messages/commands.js';
import {
  allMembershipsFromMessage,
  allMembershipsToMessage,
  factsFromMessage,
  factsToMessage,
  membershipsFromMessage,
  membershipsToMessage,
} from '../messages/directory.js';
import { markKinds } from '../messages/enums.js';
import { jsonBytes, parsed, present, required } from '../messages/fields.js';
import { channelFromMessage } from '../messages/pushes.js';
import { refusalFromMessage, refusalToMessage } from '../messages/refusals.js';
import type { Deadlines } from './config.js';
import type { ServiceBuilder } from './link-server.js';
import type { Peer } from './peer.js';
import type { Answer, StreamMethod } from './stream-method.js';

type MarkCall = Parameters<DirectoryLink['mark']>;

const MARK: StreamMethod<MarkCall, ReadState> = {
  path: METHODS.mark.path,
  batched: true,
  encodeCall: (call, [actor, mark, originSessionId]) =>
    NumberedMark.encode({
      call,
      actor,
      kind: markKinds.to(mark.kind),
      conversationId: mark.conversationId,
      seq: mark.seq,
      ...present('originSessionId', originSessionId),
    }).finish(),
  decodeCalls: (message) =>
    MarkRequest.decode(message).marks.map((mark) => ({
      call: mark.call,
      request: [
        actorFromMessage(mark.actor),
        {
          kind: markKinds.from(mark.kind),
          conversationId: mark.conversationId as ConversationId,
          seq: seq(mark.seq),
        },
        ...(mark.originSessionId === undefined ? [] : [mark.originSessionId as SessionId]),
      ] as unknown as MarkCall,
    })),
  encodeAnswer: (answer) =>
    NumberedMarkOutcome.encode({
      call: answer.call,
      outcome: answer.ok
        ? { $case: 'state', value: answer.value }
        : { $case: 'refused', value: refusalToMessage(answer.refusal) },
    }).finish(),
  decodeAnswers: (message) =>
    MarkResponse.decode(message).outcomes.map(({ call, outcome }): Answer<ReadState> => {
      const known = required(outcome, 'outcome');
      if (known.$case === 'refused') return { call, ok: false, refusal: refusalFromMessage(known.value) };
      const { readSeq, unread } = known.value;
      return { call, ok: true, value: { readSeq: seq(readSeq), unread } };
    }),
};

export function serveDirectory(service: DirectoryLink, builder: ServiceBuilder): void {
  builder.unary(METHODS.conversation, async ({ conversationId }) => {
    const facts = await service.conversation(conversationId as ConversationId);
    return present('conversation', facts === null ? undefined : factsToMessage(facts));
  });
  builder.unary(METHODS.memberships, async ({ conversationId, userIds, atLeastSeq }) =>
    membershipsToMessage(
      await service.memberships(conversationId as ConversationId, userIds as UserId[], seq(atLeastSeq)),
    ),
  );
  builder.unary(METHODS.allMemberships, async ({ conversationId, atLeastSeq }) =>
    allMembershipsToMessage(await service.allMemberships(conversationId as ConversationId, seq(atLeastSeq))),
  );
  builder.unary(METHODS.channelsOf, async ({ actor }) => ({
    channels: (await service.channelsOf(actorFromMessage(actor))).map((channel) => ({ ...channel })),
  }));
  builder.unary(METHODS.acquainted, async ({ actor, userIds }) => ({
    userIds: [...(await service.acquainted(actorFromMessage(actor), userIds as UserId[]))],
  }));
  builder.unary(METHODS.sync, async ({ actor, cursors, limit }) => ({
    result: jsonBytes(await service.sync(actorFromMessage(actor), { cursors, ...present('limit', limit) } as SyncBody)),
  }));
  builder.unary(METHODS.conversationFor, async ({ actor, conversationId }) => {
    const view = await service.conversationFor(actorFromMessage(actor), conversationId as ConversationId);
    return present('conversation', view === null ? undefined : jsonBytes(view));
  });
  builder.numbered(MARK, (call) => service.mark(...call));
}

export function connectDirectory(peer: () => Peer, { markMs }: Deadlines): DirectoryLink {
  const as = (actor: Actor): Actor => ({ workspaceId: actor.workspaceId, userId: actor.userId });
  return {
    async conversation(conversationId) {
      const { conversation } = await peer().unary('directory', METHODS.conversation, { conversationId });
      return conversation === undefined ? null : factsFromMessage(conversation);
    },
    async memberships(conversationId, userIds, atLeastSeq) {
      const request = { conversationId, userIds: [...userIds], atLeastSeq };
      return membershipsFromMessage(await peer().unary('directory', METHODS.memberships, request));
    },
    async allMemberships(conversationId, atLeastSeq) {
      const request = { conversationId, atLeastSeq };
      return allMembershipsFromMessage(await peer().unary('directory', METHODS.allMemberships, request));
    },
    async channelsOf(actor) {
      const { channels } = await peer().unary('directory', METHODS.channelsOf, { actor: as(actor) });
      return channels.map(channelFromMessage);
    },
    async acquainted(actor, userIds) {
      const request = { actor: as(actor), userIds: [...userIds] };
      return (await peer().unary('directory', METHODS.acquainted, request)).userIds as UserId[];
    },
    async sync(actor, { cursors, limit }) {
      const request = { actor: as(actor), cursors, ...present('limit', limit) };
      return parsed((await peer().unary('directory', METHODS.sync, request)).result) as SyncResult;
    },
    mark: async (...call) => peer().numbered('directory', MARK, markMs, call),
    async conversationFor(actor, conversationId) {
      const request = { actor: as(actor), conversationId };
      const { conversation } = await peer().unary('directory', METHODS.conversationFor, request);
      return conversation === undefined ? null : (parsed(conversation) as object);
    },
  };
}
