import {
  DEFAULT_WORKSPACE,
  type DeviceId,
  type InstanceId,
  isUnavailable,
  type SessionId,
  type SessionRecord,
  type UserId,
  type UserPush,
} from '@parley/contracts';
import type { FrameBusMember } from '@parley/frame-bus';
import type { SessionRegistry } from '@parley/session-registry';
import type { ServiceContext, Timer } from '@parley/service-kit';

import { EncodedFrame } from './encoded-frame.js';
import type { ChatMetrics } from './metrics.js';
import type { Rooms } from './rooms.js';
import type { CloseCode, Session } from './session.js';

/** Sessions are refreshed in the registry this often; they expire there after three times as long. */
export const REGISTRY_REFRESH_MS = 20_000;
/** Whether the registry still knows this server is asked this often. */
const REGISTRY_CHECK_MS = 1_000;
const EXPIRY_CHECK_MS = 1_000;

/** The sessions of this server, by id and by user, and their place in the registry. */
export class Sessions {
  readonly #byId = new Map<SessionId, Session>();
  /** Most people have one session: a lone one is stored without a set. */
  readonly #byUser = new Map<UserId, Session | Set<Session>>();
  #timers: Timer[] = [];

  constructor(
    private readonly server: { readonly serverId: InstanceId; readonly epoch: () => number },
    private readonly registry: SessionRegistry,
    private readonly bus: () => FrameBusMember,
    private readonly rooms: Rooms,
    private readonly context: ServiceContext,
    private readonly metrics: ChatMetrics,
  ) {}

  get count(): number {
    return this.#byId.size;
  }

  start(): void {
    const { clock } = this.context;
    this.#timers = [
      clock.every(REGISTRY_REFRESH_MS, () => this.refresh()),
      clock.every(REGISTRY_CHECK_MS, () => void this.#check()),
      clock.every(EXPIRY_CHECK_MS, () => this.#closeExpired()),
    ];
  }

  /** All of them, in the epoch of now: in a new one nobody finds those of the old. What fails is made good by the next. */
  refresh(): void {
    this.registry
      .refresh([this.#marker(), ...[...this.#byId.values()].map((session) => this.#record(session))])
      .catch((error: unknown) => this.context.log.warn({ err: error }, 'sessions could not be refreshed'));
  }

  /** A registry that has forgotten this server (it came back empty) has forgotten its sessions: all are told again. */
  async #check(): Promise<void> {
    const { workspaceId, userId } = this.#marker();
    try {
      const found = await this.registry.lookup(workspaceId, [userId]);
      if (found.size === 0 && this.#byId.size > 0) this.refresh();
    } catch (error) {
      this.context.log.debug({ err: error }, 'the registry could not be asked');
    }
  }

  /** A session that nobody has, under this server's own name. */
  #marker(): SessionRecord {
    const { serverId } = this.server;
    return {
      workspaceId: DEFAULT_WORKSPACE,
      userId: serverId as string as UserId,
      deviceId: serverId as string as DeviceId,
      sessionId: serverId as string as SessionId,
      serverId,
      epoch: this.server.epoch(),
    };
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  /**
   * Makes the session findable: from when this resolves, pushes for its user reach it. While the registry or the bus is
   * away it opens all the same: delivery asks every chat server then, and the next refresh makes good what is missing.
   */
  async add(session: Session): Promise<void> {
    this.#byId.set(session.id, session);
    const known = this.#byUser.get(session.userId);
    if (known === undefined) this.#byUser.set(session.userId, session);
    else if (known instanceof Set) known.add(session);
    else this.#byUser.set(session.userId, new Set([known, session]));
    await Promise.all([
      this.bus().join(`u:${session.userId}`),
      this.registry.register([this.#record(session)]).catch(this.#withoutRegistry),
    ]);
  }

  remove(session: Session): void {
    if (!this.#byId.delete(session.id)) return;
    this.rooms.leaveAll(session);
    const known = this.#byUser.get(session.userId);
    if (known instanceof Set) {
      known.delete(session);
      const [only, second] = known;
      if (only !== undefined && second === undefined) this.#byUser.set(session.userId, only);
    } else if (known === session) {
      this.#byUser.delete(session.userId);
      this.#quietly(this.bus().leave(`u:${session.userId}`));
    }
    const { workspaceId, userId, id: sessionId } = session;
    this.#quietly(this.registry.remove(this.server.serverId, [{ workspaceId, userId, sessionId }]));
  }

  all(): IterableIterator<Session> {
    return this.#byId.values();
  }

  ofUser(userId: UserId): Iterable<Session> {
    const known = this.#byUser.get(userId);
    return known === undefined ? [] : known instanceof Set ? known : [known];
  }

  /** Delivers to sessions by name; answers, in order, whom of each push's users it reached. */
  async push(pushes: readonly UserPush[]): Promise<readonly (readonly UserId[])[]> {
    const reached: UserId[][] = [];
    for (const push of pushes) reached.push(await this.#pushOne(push));
    return reached;
  }

  async #pushOne(push: UserPush): Promise<UserId[]> {
    const span = this.context.tracing.span('chat', 'deliver to sessions', push.traceparent);
    if (push.room?.op === 'leave') await this.rooms.reached(push.room.conversationId, push.room.asOf);
    const frames = push.frames.map((frame) => new EncodedFrame(frame));
    const reached: UserId[] = [];
    let delivered = 0;
    for (const userId of push.userIds) {
      let found = false;
      for (const session of this.ofUser(userId)) {
        if (session.workspaceId !== push.workspaceId || session.phase === 'closed') continue;
        found = true;
        if (push.room?.op === 'join') await this.rooms.join(session, push.room.channel);
        if (session.id !== push.exceptSessionId) {
          for (const frame of frames) session.deliver(frame);
          delivered += frames.length;
        }
        if (push.room?.op === 'leave') this.rooms.leave(session, push.room.conversationId);
      }
      if (found) reached.push(userId);
    }
    this.metrics.delivered(delivered, push.receivedAtMs);
    span.end();
    return reached;
  }

  /** Ends sessions of a sign-in (or all of a user's): they hear why, then the connection closes. */
  end(userId: UserId, familyId: string | null, code: 'unauthenticated' | 'forbidden'): void {
    for (const session of [...this.ofUser(userId)]) {
      if (familyId === null || session.familyId === familyId) this.close(session, 4001, code);
    }
  }

  close(session: Session, code: CloseCode, reason?: 'token_expired' | 'unauthenticated' | 'forbidden'): void {
    this.metrics.closes.inc({ code });
    const last =
      reason === undefined
        ? undefined
        : new EncodedFrame({ event: 'session.expired', data: JSON.stringify({ code: reason }) });
    session.close(code, last);
    this.remove(session);
  }

  #closeExpired(): void {
    const nowMs = this.context.clock.now();
    for (const session of this.#byId.values()) {
      if (session.expiresAtMs !== null && session.expiresAtMs <= nowMs) this.close(session, 4001, 'token_expired');
    }
  }

  #record({ workspaceId, userId, deviceId, id: sessionId }: Session): SessionRecord {
    return {
      workspaceId,
      userId,
      deviceId,
      sessionId,
      serverId: this.server.serverId,
      epoch: this.server.epoch(),
    };
  }

  readonly #withoutRegistry = (error: unknown): void => {
    if (!isUnavailable(error)) throw error;
    this.context.log.warn({ err: error }, 'a session opened without the registry');
  };

  /** The registry and the bus are caches: what could not be removed expires. */
  #quietly(done: Promise<void>): void {
    done.catch((error: unknown) => this.context.log.debug({ err: error }, 'left to expire'));
  }
}
