import {
  type ChannelMembership,
  type ConversationId,
  type Frame,
  type RoomChange,
  type RoomPush,
  seq,
  type SessionId,
  type UserId,
  type UserPush,
  type WorkspaceId,
} from '@parley/contracts';

import type * as wire from '../generated/parley/v1/chat_server.js';
import type * as common from '../generated/parley/v1/common.js';
import { histories } from './enums.js';
import { present, required } from './fields.js';

/** The payload travels as the bytes that its maker encoded. */
function frameToMessage({ event, data }: Frame): common.Frame {
  return { event, data: Buffer.from(data) };
}

function frameFromMessage({ event, data }: common.Frame): Frame {
  return { event: event as Frame['event'], data: data.toString() };
}

export function pushToMessage(push: UserPush): wire.UserPush {
  return {
    workspaceId: push.workspaceId,
    userIds: [...push.userIds],
    frames: push.frames.map(frameToMessage),
    ...present('exceptSessionId', push.exceptSessionId),
    room: push.room === undefined ? undefined : roomToMessage(push.room),
    receivedAtMs: Math.floor(push.receivedAtMs),
    ...present('traceparent', push.traceparent),
  };
}

export function pushFromMessage(push: wire.UserPush): UserPush {
  return {
    workspaceId: push.workspaceId as WorkspaceId,
    userIds: push.userIds as UserId[],
    frames: push.frames.map(frameFromMessage),
    ...present('exceptSessionId', push.exceptSessionId as SessionId | undefined),
    ...present('room', push.room === undefined ? undefined : roomFromMessage(push.room)),
    receivedAtMs: push.receivedAtMs,
    ...present('traceparent', push.traceparent),
  };
}

export function roomPushToMessage(push: RoomPush): wire.RoomPush {
  return {
    workspaceId: push.workspaceId,
    conversationId: push.conversationId,
    history: histories.to(push.history),
    frames: push.frames.map(frameToMessage),
    seq: push.seq,
    showsSeq: push.showsSeq,
    memberSeq: push.memberSeq,
    prevMemberSeq: push.prevMemberSeq,
    removes: [...(push.removes ?? [])],
    exceptUserIds: [...(push.exceptUserIds ?? [])],
    ...present('exceptSessionId', push.exceptSessionId),
    receivedAtMs: Math.floor(push.receivedAtMs),
    ...present('traceparent', push.traceparent),
  };
}

/** Nobody removed, and nobody left out, are absent. */
export function roomPushFromMessage(push: wire.RoomPush): RoomPush {
  const some = (userIds: readonly string[]): readonly UserId[] | undefined =>
    userIds.length === 0 ? undefined : (userIds as UserId[]);
  return {
    workspaceId: push.workspaceId as WorkspaceId,
    conversationId: required(push.conversationId, 'conversation') as ConversationId,
    history: histories.from(push.history),
    frames: push.frames.map(frameFromMessage),
    seq: seq(push.seq),
    showsSeq: seq(push.showsSeq),
    memberSeq: seq(push.memberSeq),
    prevMemberSeq: seq(push.prevMemberSeq),
    ...present('removes', some(push.removes)),
    ...present('exceptUserIds', some(push.exceptUserIds)),
    ...present('exceptSessionId', push.exceptSessionId as SessionId | undefined),
    receivedAtMs: push.receivedAtMs,
    ...present('traceparent', push.traceparent),
  };
}

function roomToMessage(room: RoomChange): NonNullable<wire.UserPush['room']> {
  switch (room.op) {
    case 'join':
      return { $case: 'join', value: { ...room.channel } };
    case 'leave':
      return { $case: 'leave', value: { conversationId: room.conversationId, asOfSeq: room.asOf } };
  }
}

function roomFromMessage(room: NonNullable<wire.UserPush['room']>): RoomChange {
  switch (room.$case) {
    case 'join':
      return { op: 'join', channel: channelFromMessage(room.value) };
    case 'leave': {
      const { conversationId, asOfSeq } = room.value;
      return { op: 'leave', conversationId: conversationId as ConversationId, asOf: seq(asOfSeq) };
    }
  }
}

export function channelFromMessage(channel: common.ChannelMembership): ChannelMembership {
  return {
    conversationId: channel.conversationId as ConversationId,
    joinedSeq: seq(channel.joinedSeq),
    appliedSeq: seq(channel.appliedSeq),
  };
}
