import {
  type DirectoryLink,
  type InstanceId,
  type Presence,
  type PresenceBeat,
  type PresenceLink,
  type UserId,
} from '@parley/contracts';
import type { FrameBusMember, RoomFrame } from '@parley/frame-bus';
import type { ServiceContext, Timer } from '@parley/service-kit';

import type { ChatConfig } from './config.js';
import { EncodedFrame } from './encoded-frame.js';
import type { Session } from './session.js';
import type { Sessions } from './sessions.js';

/** Everyone who is connected here, in one batch; three times within the life of a beat at least. */
const BEAT_EVERY_MS = 5_000;
/** People whom one session watches; beyond, the subscription is refused by the request's own bound, page by page. */
const WATCHED_MAX = 5_000;

/** Sends this server's signs of life to the presence service, and changes of others to the sessions that watch them. */
export class PresenceFeed {
  readonly #watchers = new Map<UserId, Set<Session>>();
  /** Who came or became active since the last batch; all of them go in one. */
  #arriving: { readonly beats: Map<UserId, PresenceBeat>; readonly told: Promise<void> } | undefined;
  #timers: Timer[] = [];

  constructor(
    private readonly server: { readonly serverId: InstanceId; readonly epoch: () => number },
    private readonly presence: PresenceLink,
    private readonly directory: DirectoryLink,
    private readonly sessions: Sessions,
    private readonly bus: () => FrameBusMember,
    private readonly context: ServiceContext,
    private readonly config: ChatConfig,
  ) {}

  start(): void {
    const { clock } = this.context;
    this.#timers = [
      clock.every(
        Math.min(BEAT_EVERY_MS, this.config.PARLEY_PRESENCE_OFFLINE_AFTER_MS / 3),
        () => void this.#beat(this.#everyone()),
      ),
    ];
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  /** A sign of life: a session opened, or a person did something after having been away. */
  active(session: Session): void {
    const nowMs = this.context.clock.now();
    const wasAway = nowMs - session.lastActiveMs >= this.config.PARLEY_AWAY_AFTER_MS;
    session.lastActiveMs = nowMs;
    if (wasAway) void this.arrived(session);
  }

  /** Resolves when the presence service knows, or could not be told; those who arrive in one turn share one batch. */
  arrived({ workspaceId, userId }: Session): Promise<void> {
    if (this.#arriving === undefined) {
      const beats = new Map<UserId, PresenceBeat>();
      const told = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        this.#arriving = undefined;
        return this.#beat([...beats.values()]);
      });
      this.#arriving = { beats, told };
    }
    this.#arriving.beats.set(userId, { workspaceId, userId, status: 'online' });
    return this.#arriving.told;
  }

  async subscribe(session: Session, userIds: readonly UserId[]): Promise<readonly Presence[]> {
    const actor = { workspaceId: session.workspaceId, userId: session.userId };
    // Strangers are left out, without a word about whether they exist.
    const visible = await this.directory.acquainted(actor, [...new Set(userIds)]);
    session.watching ??= new Set();
    for (const userId of visible) {
      if (session.phase === 'closed' || session.watching.size >= WATCHED_MAX) break;
      session.watching.add(userId);
      const watchers = this.#watchers.get(userId);
      if (watchers !== undefined) {
        watchers.add(session);
      } else {
        this.#watchers.set(userId, new Set([session]));
        await this.bus().join(`p:${userId}`);
      }
    }
    return visible.length === 0 ? [] : this.presence.get(session.workspaceId, visible);
  }

  unsubscribe(session: Session, userIds: Iterable<UserId>): void {
    for (const userId of userIds) {
      session.watching?.delete(userId);
      const watchers = this.#watchers.get(userId);
      if (watchers === undefined || !watchers.delete(session) || watchers.size > 0) continue;
      this.#watchers.delete(userId);
      this.bus()
        .leave(`p:${userId}`)
        .catch((error: unknown) => this.context.log.debug({ err: error }, 'leaving a presence room failed'));
    }
  }

  gone(session: Session): void {
    if (session.watching !== undefined) this.unsubscribe(session, [...session.watching]);
  }

  receive(userId: UserId, frame: RoomFrame): void {
    const frames = frame.frames.map((each) => new EncodedFrame(each));
    for (const session of this.#watchers.get(userId) ?? []) {
      if (session.workspaceId !== frame.workspaceId) continue;
      for (const each of frames) session.deliver(each);
    }
  }

  #everyone(): PresenceBeat[] {
    const awayBeforeMs = this.context.clock.now() - this.config.PARLEY_AWAY_AFTER_MS;
    const beats = new Map<UserId, PresenceBeat>();
    for (const { workspaceId, userId, lastActiveMs, phase } of this.sessions.all()) {
      if (phase === 'closed') continue;
      const online = lastActiveMs > awayBeforeMs || beats.get(userId)?.status === 'online';
      beats.set(userId, { workspaceId, userId, status: online ? 'online' : 'away' });
    }
    return [...beats.values()];
  }

  /** A beat that is lost is made good by the next. */
  async #beat(beats: readonly PresenceBeat[]): Promise<void> {
    if (beats.length === 0) return;
    try {
      await this.presence.beat(this.server.serverId, this.server.epoch(), beats);
    } catch (error) {
      this.context.log.warn({ err: error }, 'presence did not take a beat');
    }
  }
}
