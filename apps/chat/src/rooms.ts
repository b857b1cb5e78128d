import {
  type ChannelMembership,
  type ConversationId,
  type DirectoryLink,
  isUnavailable,
  ParleyError,
  type RoomPush,
  type Seq,
  seq,
  type UserId,
} from '@parley/contracts';
import { currentInterval } from '@parley/conversation';
import type { FrameBusMember } from '@parley/frame-bus';
import type { ServiceContext } from '@parley/service-kit';

import { EncodedFrame } from './encoded-frame.js';
import type { ChatMetrics } from './metrics.js';
import type { Session } from './session.js';

/** Frames that wait while a room's members are checked; beyond, the oldest is dropped and clients sync. */
const CHECKING_FRAMES_MAX = 1_000;

/** How long a removal by name waits for the room's frames before it. */
const REACHED_WITHIN_MS = 500;
/** The directory is asked again for half a minute, while frames wait; after that they are left to the clients' own sync. */
const CHECK_RETRY_MS = 500;
const CHECK_ATTEMPTS_MAX = 60;

interface Room {
  /** Local sessions of members, with the position from which each may see entries when history starts on joining. */
  readonly sessions: Map<Session, Seq>;
  /** The membership of every session here is right as of this position. */
  asOf: Seq;
  /** Frames that wait for an answer of the directory; null when nothing is being asked. */
  checking: RoomPush[] | null;
  /** The last entry that was delivered here. */
  reached: Seq;
  /** Who waits for an entry. */
  readonly waiting: { readonly for: Seq; readonly resolve: () => void }[];
}

/**
 * Channels' connected members on this server. The bus between servers may lose a frame, the one that removes a member
 * included; so every frame says as of which membership entry it is, and a room that has not applied that entry asks the
 * directory before it delivers anything. Nobody receives an entry after the one that removed them.
 */
export class Rooms {
  readonly #rooms = new Map<ConversationId, Room>();

  constructor(
    private readonly bus: () => FrameBusMember,
    private readonly directory: DirectoryLink,
    private readonly context: ServiceContext,
    private readonly metrics: ChatMetrics,
  ) {}

  get size(): number {
    return this.#rooms.size;
  }

  /**
   * Frames published after this resolves reach the session. Every session asks the bus, also where another has before:
   * that one's subscription may still be under way.
   */
  async join(session: Session, { conversationId, joinedSeq, appliedSeq }: ChannelMembership): Promise<void> {
    let room = this.#rooms.get(conversationId);
    if (room === undefined) {
      room = { sessions: new Map(), asOf: appliedSeq, checking: null, reached: seq(0), waiting: [] };
      this.#rooms.set(conversationId, room);
    }
    room.asOf = seq(Math.min(room.asOf, appliedSeq));
    room.sessions.set(session, joinedSeq);
    session.channels.add(conversationId);
    await this.bus().join(`c:${conversationId}`);
  }

  leave(session: Session, conversationId: ConversationId): void {
    session.channels.delete(conversationId);
    const room = this.#rooms.get(conversationId);
    if (room === undefined || !room.sessions.delete(session) || room.sessions.size > 0) return;
    this.#rooms.delete(conversationId);
    this.bus()
      .leave(`c:${conversationId}`)
      .catch((error: unknown) => this.context.log.warn({ err: error, conversationId }, 'leaving a room failed'));
  }

  leaveAll(session: Session): void {
    for (const conversationId of [...session.channels]) this.leave(session, conversationId);
  }

  /**
   * Resolves when the room has had this entry, or after a while: a call can overtake what comes over the bus, and whoever
   * is removed by an entry gets what came before it first, because they may not ask for it afterwards.
   */
  reached(conversationId: ConversationId, at: Seq): Promise<void> {
    const room = this.#rooms.get(conversationId);
    if (room === undefined || room.reached >= at) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter = { for: at, resolve };
      room.waiting.push(waiter);
      this.context.clock.after(REACHED_WITHIN_MS, () => {
        const index = room.waiting.indexOf(waiter);
        if (index !== -1) room.waiting.splice(index, 1);
        resolve();
      });
    });
  }

  deliver(push: RoomPush): void {
    const room = this.#rooms.get(push.conversationId);
    if (room === undefined) return;
    if (room.checking !== null) {
      room.checking.push(push);
      if (room.checking.length > CHECKING_FRAMES_MAX) {
        room.checking.shift();
        this.metrics.drops.inc({ reason: 'room_checking' });
      }
      return;
    }
    if (push.memberSeq > room.asOf) {
      if (push.prevMemberSeq > room.asOf) {
        room.checking = [push];
        // Sessions that join meanwhile lower it again by what they know.
        room.asOf = seq(Number.MAX_SAFE_INTEGER);
        void this.#check(push.conversationId, room, push.memberSeq);
        return;
      }
      room.asOf = push.memberSeq;
    }
    this.#fanOut(push, room);
  }

  #fanOut(push: RoomPush, room: Room): void {
    const span = this.context.tracing.span('chat', 'deliver to room', push.traceparent);
    const frames = push.frames.map((frame) => new EncodedFrame(frame));
    const excepted = push.exceptUserIds === undefined ? undefined : new Set(push.exceptUserIds);
    const fromJoin = push.history === 'joined';
    let delivered = 0;
    for (const [session, joinedSeq] of room.sessions) {
      if (session.id === push.exceptSessionId) continue;
      if (fromJoin && push.showsSeq > 0 && joinedSeq > push.showsSeq) continue;
      if (excepted?.has(session.userId) === true) continue;
      for (const frame of frames) session.deliver(frame);
      delivered += 1;
    }
    this.metrics.delivered(delivered * frames.length, push.receivedAtMs);
    span.end();
    if (push.removes !== undefined) {
      const removed = new Set(push.removes);
      for (const session of [...room.sessions.keys()]) {
        if (removed.has(session.userId)) this.leave(session, push.conversationId);
      }
    }
    if (push.seq <= room.reached) return;
    room.reached = push.seq;
    if (room.waiting.length === 0) return;
    for (const waiter of room.waiting.splice(0)) {
      if (waiter.for <= push.seq) waiter.resolve();
      else room.waiting.push(waiter);
    }
  }

  /** Asks who is still a member; everyone else leaves before anything is delivered. */
  async #check(conversationId: ConversationId, room: Room, memberSeq: Seq, attempt = 1): Promise<void> {
    const asked = new Map(room.sessions);
    const userIds = [...new Set([...asked.keys()].map(({ userId }) => userId))];
    try {
      const { appliedSeq, members } = await this.directory.memberships(conversationId, userIds, memberSeq);
      if (appliedSeq < memberSeq) throw new ParleyError('unavailable', `The directory is behind ${memberSeq}`);
      const present = new Set<UserId>(userIds.filter((userId) => currentInterval(members.get(userId)) !== undefined));
      for (const [session, joinedSeq] of [...room.sessions]) {
        // Who joined meanwhile, again or for the first time, was not asked about.
        if (asked.get(session) === joinedSeq && !present.has(session.userId)) this.leave(session, conversationId);
      }
      room.asOf = seq(Math.min(room.asOf, appliedSeq));
      const waiting = room.checking ?? [];
      room.checking = null;
      for (const push of waiting) this.deliver(push);
    } catch (error) {
      const away = isUnavailable(error);
      if (away && attempt < CHECK_ATTEMPTS_MAX && this.#rooms.get(conversationId) === room) {
        const again = (): void => void this.#check(conversationId, room, memberSeq, attempt + 1);
        this.context.clock.after(CHECK_RETRY_MS, again);
        return;
      }
      // Without an answer nobody gets these frames live; the next one asks again, and clients sync.
      this.context.log.warn({ err: error, conversationId }, 'members of a room could not be checked');
      this.metrics.drops.inc({ reason: 'room_unchecked' }, room.checking?.length ?? 0);
      room.checking = null;
      room.asOf = seq(0);
    }
  }
}
