import type { ChatServerLink, Frame, RoomPush, UserId, UserPush } from '@parley/contracts';

import { ChatServerServiceService, PushRequest, PushResponse } from '../generated/parley/v1/chat_server.js';
import { pushFromMessage, pushToMessage, roomPushFromMessage, roomPushToMessage } from '../messages/pushes.js';
import { refusalFromMessage, refusalToMessage } from '../messages/refusals.js';
import { chunks } from './chunks.js';
import type { Deadlines, LinkBounds } from './config.js';
import type { ServiceBuilder } from './link-server.js';
import type { Peer } from './peer.js';
import { failedOr, type StreamMethod } from './stream-method.js';

type Reached = readonly (readonly UserId[])[];
/** One or the other; both on one stream, because they have one order. */
interface Push {
  readonly users: readonly UserPush[];
  readonly rooms: readonly RoomPush[];
}

const PUSH: StreamMethod<Push, Reached> = {
  path: ChatServerServiceService.push.path,
  // A call is everything that is due for this server already.
  batched: false,
  encodeCall: (call, { users, rooms }) =>
    PushRequest.encode({
      call,
      pushes: users.map(pushToMessage),
      roomPushes: rooms.map(roomPushToMessage),
    }).finish(),
  decodeCalls(message) {
    const { call, pushes, roomPushes } = PushRequest.decode(message);
    return [{ call, request: { users: pushes.map(pushFromMessage), rooms: roomPushes.map(roomPushFromMessage) } }];
  },
  encodeAnswer: ({ call, ...answer }) =>
    PushResponse.encode({
      call,
      reached: answer.ok ? answer.value.map((userIds) => ({ userIds: [...userIds] })) : [],
      failed: answer.ok ? undefined : refusalToMessage(answer.refusal),
    }).finish(),
  decodeAnswers(message) {
    const { call, reached, failed } = PushResponse.decode(message);
    const users = (): Reached => reached.map(({ userIds }) => userIds as UserId[]);
    return [failedOr(call, failed && refusalFromMessage(failed), users)];
  },
};

/** An id takes up to 64 bytes, and two of framing. */
const idsBytes = (ids: readonly string[] | undefined): number => (ids?.length ?? 0) * 66;
const framesBytes = (frames: readonly Frame[]): number =>
  frames.reduce((bytes, { event, data }) => bytes + event.length + Buffer.byteLength(data) + 16, 512);
const userPushBytes = ({ frames, userIds }: UserPush): number => framesBytes(frames) + idsBytes(userIds);
const roomPushBytes = ({ frames, removes, exceptUserIds }: RoomPush): number =>
  framesBytes(frames) + idsBytes(removes) + idsBytes(exceptUserIds);

export function serveChat(service: ChatServerLink, builder: ServiceBuilder): void {
  builder.numbered(PUSH, async ({ users, rooms }) => {
    if (rooms.length === 0) return service.push(users);
    await service.pushRooms(rooms);
    return [];
  });
}

export function connectChat(peer: () => Peer, { pushMs }: Deadlines, { batchMaxBytes }: LinkBounds): ChatServerLink {
  const send = (pushes: readonly Push[]): Promise<readonly Reached[]> =>
    Promise.all(pushes.map((push) => peer().numbered('chat', PUSH, pushMs, push)));
  return {
    async push(pushes) {
      const parts = chunks(pushes, userPushBytes, batchMaxBytes);
      return (await send(parts.map((users) => ({ users, rooms: [] })))).flat();
    },
    async pushRooms(pushes) {
      const parts = chunks(pushes, roomPushBytes, batchMaxBytes);
      await send(parts.map((rooms) => ({ users: [], rooms })));
    },
  };
}
