import {
  type ConversationId,
  type ConversationType,
  DEFAULT_WORKSPACE,
  type DeviceId,
  type DirectoryLink,
  type InstanceId,
  type MembershipInterval,
  ParleyError,
  type RoomPush,
  type Seq,
  seq,
  type ServerEvent,
  type SessionId,
  type UserId,
} from '@parley/contracts';
import { type FrameBusMember, openFrameBus, type Room, type RoomFrame } from '@parley/frame-bus';
import {
  ManualClock,
  Metrics,
  Readiness,
  readConfig,
  type ServiceContext,
  silentLogger,
  Tracing,
} from '@parley/service-kit';
import { openSessionRegistry } from '@parley/session-registry';

import { type ChatConfig, chatSettings } from './config.js';
import type { EncodedFrame } from './encoded-frame.js';
import { chatMetrics } from './metrics.js';
import { Rooms } from './rooms.js';
import { type CloseCode, type Outlet, Session, type SessionIdentity } from './session.js';
import { Sessions } from './sessions.js';

export const ANN = 'ann' as UserId;
export const BOB = 'bob' as UserId;
export const CAT = 'cat' as UserId;
export const CHANNEL = 'c1' as ConversationId;
export const SERVER = 'chat-1' as InstanceId;

export function testContext(clock = new ManualClock()): ServiceContext & { readonly clock: ManualClock } {
  return {
    clock,
    random: () => 0.5,
    log: silentLogger,
    metrics: new Metrics(),
    tracing: new Tracing(),
    readiness: new Readiness(),
  };
}
export const configOf = (env: NodeJS.ProcessEnv = {}): ChatConfig => readConfig(chatSettings, env);

/** Where a session's frames end up. */
export class Recorder implements Outlet {
  readonly kind = 'socket';
  readonly frames: EncodedFrame[] = [];
  closed: CloseCode | undefined;

  deliver(frame: EncodedFrame): void {
    this.frames.push(frame);
  }
  close(code: CloseCode): void {
    this.closed = code;
  }
  /** `event` or `event seq`. */
  get labels(): string[] {
    return this.frames.map(({ event, data }) => {
      const { seq: at } = JSON.parse(data) as { seq?: number };
      return at === undefined ? event : `${event} ${at}`;
    });
  }
}

let made = 0;
export function newSession(userId: UserId, change: Partial<SessionIdentity> = {}) {
  const outlet = new Recorder();
  const session = new Session(
    {
      sessionId: `s${(made += 1)}` as SessionId,
      workspaceId: DEFAULT_WORKSPACE,
      userId,
      deviceId: 'd' as DeviceId,
      origin: null,
      familyId: null,
      scopes: null,
      expiresAtMs: null,
      ...change,
    },
    outlet,
    Date.UTC(2026, 0, 1),
  );
  return { session, outlet };
}
export function liveSession(userId: UserId, change: Partial<SessionIdentity> = {}) {
  const made = newSession(userId, change);
  made.session.ready(null);
  return made;
}

/** Who is a member of the channel, as the directory would answer; calls can be held up or fail. */
export class Membership {
  readonly intervals = new Map<UserId, MembershipInterval[]>();
  appliedSeq: Seq = seq(0);
  type: ConversationType = 'channel';
  failing = false;
  readonly asked: (readonly UserId[])[] = [];
  gate: Promise<void> = Promise.resolve();

  constructor(members: readonly UserId[]) {
    for (const userId of members) this.intervals.set(userId, [{ role: 'member', joinedSeq: seq(0), leftSeq: null }]);
  }

  remove(userId: UserId, at: number): void {
    const open = this.intervals.get(userId) ?? [];
    this.intervals.set(
      userId,
      open.map((each) => (each.leftSeq === null ? { ...each, leftSeq: seq(at) } : each)),
    );
    this.appliedSeq = seq(at);
  }

  get link(): DirectoryLink {
    const facts = () => ({
      workspaceId: DEFAULT_WORKSPACE,
      id: CHANNEL,
      type: this.type,
      name: null,
      topic: null,
      visibility: 'private' as const,
      history: 'all' as const,
      createdBy: ANN,
      createdAt: new Date(0).toISOString(),
      deletedAt: null,
      memberCount: this.intervals.size,
      appliedSeq: this.appliedSeq,
    });
    const unused = (): never => {
      throw new Error('Nobody asks for this here');
    };
    return {
      conversation: async (id) => (id === CHANNEL ? facts() : null),
      memberships: async (_id, userIds) => {
        this.asked.push(userIds);
        const { appliedSeq } = this;
        const members = new Map(userIds.flatMap((id) => [[id, this.intervals.get(id)] as const].filter(isThere)));
        await this.gate;
        if (this.failing) throw new ParleyError('unavailable', 'the directory is away');
        return { appliedSeq, members };
      },
      allMemberships: async () => ({
        appliedSeq: this.appliedSeq,
        members: [...this.intervals].flatMap(([userId, of]) => of.map((each) => ({ userId, ...each }))),
      }),
      channelsOf: unused,
      acquainted: async (_actor, userIds) => userIds.filter((userId) => this.intervals.has(userId)),
      sync: unused,
      mark: unused,
      conversationFor: unused,
    };
  }
}
const isThere = <K, V>(pair: readonly [K, V | undefined]): pair is readonly [K, V] => pair[1] !== undefined;

/** Rooms and sessions of one chat server on the in-process bus and registry. */
export async function openServer(members: readonly UserId[] = [ANN, BOB]) {
  const context = testContext();
  const bus = await openFrameBus({ adapter: 'in-process' });
  const registry = await openSessionRegistry({
    adapter: 'in-process',
    ttlMs: 60_000,
    nowMs: () => context.clock.now(),
  });
  const membership = new Membership(members);
  const metrics = chatMetrics(context.metrics, context.clock);
  const received: { readonly room: Room; readonly frame: RoomFrame }[] = [];
  const member: FrameBusMember = await bus.attach(SERVER, (room, frame) => {
    received.push({ room, frame });
    if (room.startsWith('c:')) rooms.deliver(frame as RoomPush);
  });
  const server = { serverId: SERVER, epoch: () => 1 };
  const rooms = new Rooms(() => member, membership.link, context, metrics);
  const sessions = new Sessions(server, registry, () => member, rooms, context, metrics);
  /** A live session in the room of the channel. */
  const join = async (userId: UserId, joinedSeq = 0, appliedSeq = 0) => {
    const { session, outlet } = liveSession(userId);
    await sessions.add(session);
    await rooms.join(session, { conversationId: CHANNEL, joinedSeq: seq(joinedSeq), appliedSeq: seq(appliedSeq) });
    return { session, outlet };
  };
  return { context, bus, registry, membership, member, rooms, sessions, metrics, received, server, join };
}

/** The frame of a channel's entry as delivery makes it. */
export function roomPush(at: number, change: Partial<RoomPush> & { readonly event?: ServerEvent } = {}): RoomPush {
  const { event = 'message.new', ...rest } = change;
  return {
    workspaceId: DEFAULT_WORKSPACE,
    conversationId: CHANNEL,
    history: 'all',
    frames: [{ event, data: JSON.stringify({ seq: at }) }],
    seq: seq(at),
    showsSeq: seq(at),
    memberSeq: seq(0),
    prevMemberSeq: seq(0),
    receivedAtMs: 0,
    ...rest,
  };
}
/** Lets everything that is ready run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
