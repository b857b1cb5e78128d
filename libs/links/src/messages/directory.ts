import {
  type ConversationFacts,
  type ConversationId,
  type DirectoryLink,
  type MemberRow,
  type MembershipInterval,
  seq,
  type UserId,
  type WorkspaceId,
} from '@parley/contracts';

import type * as common from '../generated/parley/v1/common.js';
import type * as wire from '../generated/parley/v1/directory.js';
import { conversationTypes, histories, roles, visibilities } from './enums.js';
import { present, required } from './fields.js';

export function factsToMessage(facts: ConversationFacts): wire.ConversationFacts {
  return {
    workspaceId: facts.workspaceId,
    id: facts.id,
    type: conversationTypes.to(facts.type),
    ...present('name', facts.name ?? undefined),
    ...present('topic', facts.topic ?? undefined),
    visibility: visibilities.to(facts.visibility),
    history: histories.to(facts.history),
    createdBy: facts.createdBy,
    createdAt: facts.createdAt,
    ...present('deletedAt', facts.deletedAt ?? undefined),
    memberCount: facts.memberCount,
    appliedSeq: facts.appliedSeq,
  };
}

export function factsFromMessage(facts: wire.ConversationFacts): ConversationFacts {
  return {
    workspaceId: facts.workspaceId as WorkspaceId,
    id: facts.id as ConversationId,
    type: conversationTypes.from(facts.type),
    name: facts.name ?? null,
    topic: facts.topic ?? null,
    visibility: visibilities.from(facts.visibility),
    history: histories.from(facts.history),
    createdBy: facts.createdBy as UserId,
    createdAt: facts.createdAt,
    deletedAt: facts.deletedAt ?? null,
    memberCount: facts.memberCount,
    appliedSeq: seq(facts.appliedSeq),
  };
}

function intervalToMessage({ role, joinedSeq, leftSeq }: MembershipInterval): common.MembershipInterval {
  return { role: roles.to(role), joinedSeq, ...present('leftSeq', leftSeq ?? undefined) };
}

function intervalFromMessage({ role, joinedSeq, leftSeq }: common.MembershipInterval): MembershipInterval {
  return {
    role: roles.from(role),
    joinedSeq: seq(joinedSeq),
    leftSeq: leftSeq === undefined ? null : seq(leftSeq),
  };
}

type Memberships = Awaited<ReturnType<DirectoryLink['memberships']>>;
type AllMemberships = Awaited<ReturnType<DirectoryLink['allMemberships']>>;

export function membershipsToMessage({ appliedSeq, members }: Memberships): wire.MembershipsResponse {
  return {
    appliedSeq,
    members: [...members].map(([userId, intervals]) => ({ userId, intervals: intervals.map(intervalToMessage) })),
  };
}

export function membershipsFromMessage({ appliedSeq, members }: wire.MembershipsResponse): Memberships {
  return {
    appliedSeq: seq(appliedSeq),
    members: new Map(members.map(({ userId, intervals }) => [userId as UserId, intervals.map(intervalFromMessage)])),
  };
}

export function allMembershipsToMessage({ appliedSeq, members }: AllMemberships): wire.AllMembershipsResponse {
  return { appliedSeq, members: members.map((row) => ({ userId: row.userId, interval: intervalToMessage(row) })) };
}

export function allMembershipsFromMessage({ appliedSeq, members }: wire.AllMembershipsResponse): AllMemberships {
  return {
    appliedSeq: seq(appliedSeq),
    members: members.map(({ userId, interval }): MemberRow => ({
      userId: userId as UserId,
      ...intervalFromMessage(required(interval, 'interval')),
    })),
  };
}
