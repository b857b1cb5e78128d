import type { DirectoryLink, InstanceId, Presence, PresenceBeat, PresenceLink, UserId } from '@parley/contracts';
import type { FrameBusMember, RoomFrame } from '@parley/frame-bus';
import type { ServiceContext, Timer } from '@parley/service-kit';

import type { ChatConfig } from './config.js';
import { EncodedFrame } from './encoded-frame.js';
import type { Session } from './session.js';
import type { Sessions } from './sessions.js';

/** Everyone who is connected here, in one batch. */
const BEAT_EVERY_MS = 5_000;
/** Who came, went active or away since: sooner, but not each by themselves. */
const CHANGES_EVERY_MS = 250;
/** People whom one session watches; beyond, the subscription is refused by the request's own bound, page by page. */
const WATCHED_MAX = 5_000;

/** Sends this server's signs of life to the presence service, and changes of others to the sessions that watch them. */
export class PresenceFeed {
  readonly #watchers = new Map<UserId, Set<Session>>();
  readonly #changed = new Map<UserId, PresenceBeat>();
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
      clock.every(BEAT_EVERY_MS, () => this.#beat(this.#everyone())),
      clock.every(CHANGES_EVERY_MS, () => {
        if (this.#changed.size === 0) return;
        const beats = [...this.#changed.values()];
        this.#changed.clear();
        this.#beat(beats);
      }),
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
    if (wasAway) this.came(session);
  }

  came({ workspaceId, userId }: Session): void {
    this.#changed.set(userId, { workspaceId, userId, status: 'online' });
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
  #beat(beats: readonly PresenceBeat[]): void {
    if (beats.length === 0) return;
    this.presence
      .beat(this.server.serverId, this.server.epoch(), beats)
      .catch((error: unknown) => this.context.log.warn({ err: error }, 'presence did not take a beat'));
  }
}
