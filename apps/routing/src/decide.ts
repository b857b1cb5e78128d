import { isDeepStrictEqual } from 'node:util';

import {
  type Command,
  type CommandBody,
  type ConversationId,
  entryId,
  type ErrorCode,
  type LogEntry,
  MENTION_ALL,
  type MessageEntry,
  type Refusal,
  type Role,
  type Seq,
  seq,
  type UserId,
} from '@parley/contracts';
import {
  type Action,
  covers,
  mayGrant,
  type MessageState,
  outranks,
  permits,
  visibleRanges,
} from '@parley/conversation';
import { clientKey } from '@parley/conversation-log';

import { CLIENT_ID_TTL_MS, type ConversationState, type Targets } from './state.js';

export interface Rules {
  /** Custom content types that the deployment has registered. */
  readonly contentTypes: ReadonlySet<string>;
  /** Members of a group: it fans out on write. */
  readonly groupMembersMax: number;
}

export type Decision =
  | { readonly kind: 'append'; readonly entry: LogEntry }
  | { readonly kind: 'duplicate'; readonly entry: MessageEntry }
  | { readonly kind: 'unchanged'; readonly seq: Seq }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

const refuse = (code: ErrorCode, message: string): Decision => ({ kind: 'refused', refusal: { code, message } });
const NOT_FOUND = refuse('not_found', 'There is no such conversation');
const NO_MESSAGE = refuse('not_found', 'There is no such message');

/** Everything a decision rests on: the state as of the entries before this one, and what was looked up for the batch. */
export interface Facts {
  readonly state: ConversationState;
  readonly targets: Targets;
  /** Owners, when the command could leave the conversation without one. */
  readonly owners: ReadonlySet<UserId> | null;
  /** Client ids that were found in the log, beyond what memory holds. */
  readonly found: ReadonlyMap<string, MessageEntry>;
  readonly rules: Rules;
  readonly nowMs: number;
}

/**
 * May this be appended, and as what? Pure: the same state and command give the same decision. `at` is the seq that
 * the entry would have.
 */
export function decide(command: Command, at: Seq, facts: Facts): Decision {
  const { state } = facts;
  const { actor, body } = command;
  if (state.facts.workspaceId !== actor.workspaceId || state.facts.deletedAt !== null) return NOT_FOUND;
  const role = state.role(actor.userId);
  if (role === null && !(body.kind === 'join' && state.facts.visibility === 'public')) return NOT_FOUND;
  const common = {
    conversationId: state.facts.id,
    seq: at,
    id: entryId(state.facts.id, at),
    senderId: actor.userId,
    sentAt: new Date(Math.max(facts.nowMs, state.head.lastAtMs)).toISOString(),
  };
  if (body.kind === 'join') return decideJoin(common, role, facts);
  return role === null ? NOT_FOUND : decideAsMember(body, common, role, facts);
}

interface Common {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
  readonly id: string;
  readonly senderId: UserId;
  readonly sentAt: string;
}

function decideAsMember(
  body: Exclude<CommandBody, { kind: 'join' }>,
  common: Common,
  role: Role,
  facts: Facts,
): Decision {
  switch (body.kind) {
    case 'message':
      return decideMessage(body, common, role, facts);
    case 'edit':
    case 'delete':
    case 'reaction':
    case 'pin':
      return decideChange(body, common, role, facts);
    case 'member':
      return decideMember(body, common, role, facts);
    case 'leave':
      return may(facts, 'leave', role) ?? decideRemoval([common.senderId], common, facts);
    case 'settings':
      return decideSettings(body.changes, common, role, facts);
  }
}

function may({ state }: Facts, action: Action, role: Role): Decision | undefined {
  return permits(state.facts.type, action, role)
    ? undefined
    : refuse('forbidden', `A ${role} of a ${state.facts.type} conversation may not: ${action}`);
}

function decideMessage(
  body: Extract<CommandBody, { kind: 'message' }>,
  common: Common,
  role: Role,
  facts: Facts,
): Decision {
  const { state, found, rules, nowMs } = facts;
  const key = clientKey({ senderId: common.senderId, clientId: body.clientId });
  const first = state.recent.get(key) ?? found.get(key);
  if (first !== undefined && Date.parse(first.sentAt) > nowMs - CLIENT_ID_TTL_MS) return decideResend(first, body);

  const forbidden = may(facts, 'message.send', role);
  if (forbidden !== undefined) return forbidden;
  if (body.mentions?.some((mention) => MENTION_ALL.has(mention)) === true) {
    const noMention = may(facts, 'mention.everyone', role);
    if (noMention !== undefined) return noMention;
  }
  const refusal = refuseContent(body.content, rules);
  if (refusal !== undefined) return refusal;
  if (body.parentSeq !== undefined && visibleTarget(facts, common.senderId, body.parentSeq) === null) {
    return refuse('not_found', 'There is no such message to reply to');
  }
  return {
    kind: 'append',
    entry: {
      ...common,
      kind: 'message',
      clientId: body.clientId,
      content: body.content,
      ...(body.parentSeq === undefined ? {} : { parentSeq: seq(body.parentSeq) }),
      ...(body.mentions === undefined ? {} : { mentions: [...body.mentions] }),
    },
  };
}

/** The same client id stands for the same body; of a deleted message nothing is left to compare. */
function decideResend(first: MessageEntry, body: Extract<CommandBody, { kind: 'message' }>): Decision {
  const same =
    first.content === null ||
    (isDeepStrictEqual(first.content, body.content) &&
      first.parentSeq === body.parentSeq &&
      isDeepStrictEqual(first.mentions, body.mentions));
  return same
    ? { kind: 'duplicate', entry: first }
    : refuse('idempotency_conflict', `The client id was used for message ${first.seq}, which says something else`);
}

function refuseContent(content: { readonly type: string }, rules: Rules): Decision | undefined {
  switch (content.type) {
    case 'text':
    case 'encrypted':
      return undefined;
    case 'media':
      return refuse('not_found', 'There is no such media');
    default:
      return rules.contentTypes.has(content.type)
        ? undefined
        : refuse('unsupported', `The content type ${content.type} is not registered (PARLEY_CONTENT_TYPES)`);
  }
}

/** A message that exists and that this person may see. */
function visibleTarget({ state, targets }: Facts, userId: UserId, targetSeq: number): MessageState | null {
  const intervals = state.standing(userId)?.intervals ?? [];
  if (!covers(visibleRanges(state.facts.history, intervals), targetSeq)) return null;
  return targets.get(targetSeq) ?? null;
}

function decideChange(
  body: Extract<CommandBody, { kind: 'edit' | 'delete' | 'reaction' | 'pin' }>,
  common: Common,
  role: Role,
  facts: Facts,
): Decision {
  const target = visibleTarget(facts, common.senderId, body.targetSeq);
  if (target === null) return NO_MESSAGE;
  const own = target.entry.senderId === common.senderId;
  const targetSeq = target.entry.seq;
  if (target.deletedAt !== undefined) {
    // Deleting twice is deleting once; nothing else can be done to what is gone.
    return body.kind === 'delete' && own
      ? { kind: 'unchanged', seq: seq(target.deletedSeq ?? targetSeq) }
      : refuse('not_found', 'The message was deleted');
  }
  switch (body.kind) {
    case 'edit':
      if (!own) return refuse('forbidden', "Only a message's author edits it");
      return (
        may(facts, 'message.edit.own', role) ??
        refuseContent(body.content, facts.rules) ?? {
          kind: 'append',
          entry: { ...common, kind: 'edit', targetSeq, content: body.content },
        }
      );
    case 'delete':
      return (
        may(facts, own ? 'message.delete.own' : 'message.delete.any', role) ?? {
          kind: 'append',
          entry: { ...common, kind: 'delete', targetSeq },
        }
      );
    case 'reaction': {
      const saidAt = target.reactions.get(body.emoji)?.get(common.senderId);
      if ((body.op === 'add') === (saidAt !== undefined)) return { kind: 'unchanged', seq: seq(saidAt ?? targetSeq) };
      return (
        may(facts, 'reaction', role) ?? {
          kind: 'append',
          entry: { ...common, kind: 'reaction', targetSeq, emoji: body.emoji, op: body.op },
        }
      );
    }
    case 'pin':
      if ((body.op === 'add') === (target.pinned !== undefined)) {
        return { kind: 'unchanged', seq: seq(target.pinned?.seq ?? targetSeq) };
      }
      return may(facts, 'pin', role) ?? { kind: 'append', entry: { ...common, kind: 'pin', targetSeq, op: body.op } };
  }
}

function decideJoin(common: Common, role: Role | null, { state }: Facts): Decision {
  if (state.facts.type !== 'channel') return NOT_FOUND;
  if (role !== null) return { kind: 'unchanged', seq: state.head.seq };
  return {
    kind: 'append',
    entry: { ...common, kind: 'member', op: 'added', userIds: [common.senderId], role: 'member' },
  };
}

function decideMember(
  body: Extract<CommandBody, { kind: 'member' }>,
  common: Common,
  role: Role,
  facts: Facts,
): Decision {
  const { state, rules } = facts;
  const named = [...new Set(body.userIds)];
  switch (body.op) {
    case 'added': {
      const granted = body.role ?? 'member';
      const forbidden = may(facts, 'member.add', role);
      if (forbidden !== undefined) return forbidden;
      if (!mayGrant(role, granted)) return refuse('forbidden', `A ${role} may not make anyone ${granted}`);
      const added = named.filter((userId) => state.role(userId) === null);
      if (added.length === 0) return { kind: 'unchanged', seq: state.head.seq };
      if (state.facts.type === 'group' && state.facts.memberCount + added.length > rules.groupMembersMax) {
        return refuse('invalid', `A group has at most ${rules.groupMembersMax} members; a channel has no such bound`);
      }
      return { kind: 'append', entry: { ...common, kind: 'member', op: 'added', userIds: added, role: granted } };
    }
    case 'removed': {
      const self = named.length === 1 && named[0] === common.senderId;
      const forbidden = may(facts, self ? 'leave' : 'member.remove', role);
      if (forbidden !== undefined) return forbidden;
      const present = named.filter((userId) => state.role(userId) !== null);
      if (present.length === 0) return refuse('not_found', 'There is no such member');
      if (!self && present.some((userId) => !outranks(role, state.role(userId) ?? 'guest'))) {
        return refuse('forbidden', `A ${role} may only remove members of a lower role`);
      }
      return decideRemoval(present, common, facts);
    }
    case 'role': {
      const forbidden = may(facts, 'member.role', role);
      if (forbidden !== undefined) return forbidden;
      const present = named.filter((userId) => state.role(userId) !== null);
      if (present.length === 0) return refuse('not_found', 'There is no such member');
      if (!mayGrant(role, body.role) || present.some((userId) => !outranks(role, state.role(userId) ?? 'guest'))) {
        return refuse('forbidden', `A ${role} may not change that role`);
      }
      const changed = present.filter((userId) => state.role(userId) !== body.role);
      if (changed.length === 0) return { kind: 'unchanged', seq: state.head.seq };
      if (body.role !== 'owner' && leavesNoOwner(changed, facts)) return LAST_OWNER;
      return { kind: 'append', entry: { ...common, kind: 'member', op: 'role', userIds: changed, role: body.role } };
    }
  }
}

const LAST_OWNER = refuse('conflict', 'The last owner stays until someone else is made owner');

function decideRemoval(userIds: readonly UserId[], common: Common, facts: Facts): Decision {
  const othersRemain = facts.state.facts.memberCount > userIds.length;
  if (othersRemain && leavesNoOwner(userIds, facts)) return LAST_OWNER;
  return { kind: 'append', entry: { ...common, kind: 'member', op: 'removed', userIds: [...userIds] } };
}

function leavesNoOwner(userIds: readonly UserId[], { state, owners }: Facts): boolean {
  if (!userIds.some((userId) => state.role(userId) === 'owner')) return false;
  return owners !== null && [...owners].every((owner) => userIds.includes(owner));
}

function decideSettings(
  changes: Extract<CommandBody, { kind: 'settings' }>['changes'],
  common: Common,
  role: Role,
  facts: Facts,
): Decision {
  const current = facts.state.facts;
  const forbidden = may(facts, changes.deleted === true ? 'delete' : 'settings', role);
  if (forbidden !== undefined) return forbidden;
  if (changes.visibility === 'public' && current.type !== 'channel') {
    return refuse('invalid', 'Only channels can be public');
  }
  const real = Object.fromEntries(
    Object.entries(changes).filter(
      ([name, value]) => name === 'deleted' || value !== current[name as 'name' | 'topic' | 'visibility' | 'history'],
    ),
  );
  if (Object.keys(real).length === 0) return { kind: 'unchanged', seq: facts.state.head.seq };
  return { kind: 'append', entry: { ...common, kind: 'settings', changes: real } };
}
