import {
  type Actor,
  type Command,
  type CommandBody,
  type Content,
  type ConversationId,
  type SessionId,
  type SettingsChanges,
  type UserId,
  type WorkspaceId,
} from '@parley/contracts';

import type * as common from '../generated/parley/v1/common.js';
import type * as wire from '../generated/parley/v1/routing.js';
import { changeOps, histories, roles, visibilities } from './enums.js';
import { jsonBytes, parsed, present, required } from './fields.js';

export function actorFromMessage(actor: common.Actor | undefined): Actor {
  const { workspaceId, userId } = required(actor, 'actor');
  return { workspaceId: workspaceId as WorkspaceId, userId: userId as UserId };
}

export function commandToMessage({ actor, conversationId, context, originSessionId, body }: Command): wire.Command {
  const { requestId, traceparent, receivedAtMs } = context;
  return {
    actor: { workspaceId: actor.workspaceId, userId: actor.userId },
    conversationId,
    context: { requestId, ...present('traceparent', traceparent), receivedAtMs: Math.floor(receivedAtMs) },
    ...present('originSessionId', originSessionId),
    body: bodyToMessage(body),
  };
}

export function commandFromMessage(command: wire.Command): Command {
  const { requestId, traceparent, receivedAtMs } = required(command.context, 'context');
  return {
    actor: actorFromMessage(command.actor),
    conversationId: command.conversationId as ConversationId,
    context: { requestId, ...present('traceparent', traceparent), receivedAtMs },
    ...present('originSessionId', command.originSessionId as SessionId | undefined),
    body: bodyFromMessage(required(command.body, 'body')),
  };
}

function bodyToMessage(body: CommandBody): NonNullable<wire.Command['body']> {
  switch (body.kind) {
    case 'message':
      return {
        $case: 'message',
        value: {
          clientId: body.clientId,
          content: jsonBytes(body.content),
          ...present('parentSeq', body.parentSeq),
          ...present('mentions', body.mentions === undefined ? undefined : { names: [...body.mentions] }),
        },
      };
    case 'edit':
      return { $case: 'edit', value: { targetSeq: body.targetSeq, content: jsonBytes(body.content) } };
    case 'delete':
      return { $case: 'delete', value: { targetSeq: body.targetSeq } };
    case 'reaction':
      return {
        $case: 'reaction',
        value: { targetSeq: body.targetSeq, emoji: body.emoji, op: changeOps.to(body.op) },
      };
    case 'pin':
      return { $case: 'pin', value: { targetSeq: body.targetSeq, op: changeOps.to(body.op) } };
    case 'member':
      return memberToMessage(body);
    case 'join':
      return { $case: 'join', value: {} };
    case 'leave':
      return { $case: 'leave', value: {} };
    case 'settings':
      return { $case: 'settings', value: settingsToMessage(body.changes) };
  }
}

function memberToMessage(body: Extract<CommandBody, { kind: 'member' }>): NonNullable<wire.Command['body']> {
  const userIds = [...body.userIds];
  switch (body.op) {
    case 'added': {
      const role = body.role === undefined ? undefined : roles.to(body.role);
      return { $case: 'addMembers', value: { userIds, ...present('role', role) } };
    }
    case 'removed':
      return { $case: 'removeMembers', value: { userIds } };
    case 'role':
      return { $case: 'changeRole', value: { userIds, role: roles.to(body.role) } };
  }
}

function bodyFromMessage(body: NonNullable<wire.Command['body']>): CommandBody {
  switch (body.$case) {
    case 'message': {
      const { clientId, content, parentSeq, mentions } = body.value;
      return {
        kind: 'message',
        clientId,
        content: parsed(content) as Content,
        ...present('parentSeq', parentSeq),
        ...present('mentions', mentions?.names),
      };
    }
    case 'edit':
      return { kind: 'edit', targetSeq: body.value.targetSeq, content: parsed(body.value.content) as Content };
    case 'delete':
      return { kind: 'delete', targetSeq: body.value.targetSeq };
    case 'reaction': {
      const { targetSeq, emoji, op } = body.value;
      return { kind: 'reaction', targetSeq, emoji, op: changeOps.from(op) };
    }
    case 'pin':
      return { kind: 'pin', targetSeq: body.value.targetSeq, op: changeOps.from(body.value.op) };
    case 'addMembers': {
      const role = body.value.role === undefined ? undefined : roles.from(body.value.role);
      return { kind: 'member', op: 'added', userIds: body.value.userIds as UserId[], ...present('role', role) };
    }
    case 'removeMembers':
      return { kind: 'member', op: 'removed', userIds: body.value.userIds as UserId[] };
    case 'changeRole': {
      const { userIds, role } = body.value;
      return { kind: 'member', op: 'role', userIds: userIds as UserId[], role: roles.from(role) };
    }
    case 'join':
      return { kind: 'join' };
    case 'leave':
      return { kind: 'leave' };
    case 'settings':
      return { kind: 'settings', changes: settingsFromMessage(body.value) };
  }
}

function settingsToMessage({ name, topic, visibility, history, deleted }: SettingsChanges): wire.ChangeSettings {
  return {
    ...present('name', clearable(name)),
    ...present('topic', clearable(topic)),
    ...present('visibility', visibility === undefined ? undefined : visibilities.to(visibility)),
    ...present('history', history === undefined ? undefined : histories.to(history)),
    deleted: deleted === true,
  };
}

function settingsFromMessage({ name, topic, visibility, history, deleted }: wire.ChangeSettings): SettingsChanges {
  return {
    ...present('name', name === undefined ? undefined : (name.text ?? null)),
    ...present('topic', topic === undefined ? undefined : (topic.text ?? null)),
    ...present('visibility', visibility === undefined ? undefined : visibilities.from(visibility)),
    ...present('history', history === undefined ? undefined : histories.from(history)),
    ...present('deleted', deleted ? (true as const) : undefined),
  };
}

/** Undefined: not changed; null: cleared. */
function clearable(text: string | null | undefined): wire.ClearableText | undefined {
  return text === undefined ? undefined : present('text', text ?? undefined);
}
