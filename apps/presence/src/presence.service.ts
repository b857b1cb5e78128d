import type { InstanceId, Presence, PresenceBeat, PresenceLink, UserId, WorkspaceId } from '@parley/contracts';
import { seq } from '@parley/contracts';
import type { EventBus } from '@parley/event-bus';
import { type FrameBus, publishLossy } from '@parley/frame-bus';
import type { PresenceChange, PresenceStore } from '@parley/presence-store';
import type { ServiceContext, Timer } from '@parley/service-kit';

/** A change is told after this, and only if it still is one: who comes and goes within it is not seen. */
const DEBOUNCE_MS = 250;
const EXPIRE_EVERY_MS = 1_000;
/** Changes waiting to be told; beyond, the oldest are dropped: the next subscribe reads the truth. */
const PENDING_MAX = 100_000;

export interface PresencePorts {
  readonly store: PresenceStore;
  readonly bus: EventBus;
  readonly frames: FrameBus;
  readonly context: ServiceContext;
}

/** Who is online, away, offline: told to those who watch, once it is certain enough to be worth telling. */
export class PresenceService implements PresenceLink {
  readonly #pending = new Map<UserId, PresenceChange>();
  #timers: Timer[] = [];
  readonly #changes;
  readonly #drops;

  constructor(private readonly ports: PresencePorts) {
    const { metrics } = ports.context;
    this.#changes = metrics.counter('parley_presence_changes_total', 'Changes told to watchers', ['status']);
    this.#drops = metrics.counter('parley_presence_drops_total', 'Changes that were not told, by reason', ['reason']);
    metrics.gauge('parley_presence_pending', 'Changes waiting to be told', () => this.#pending.size);
  }

  async start(): Promise<void> {
    const { clock, log } = this.ports.context;
    const failed = (error: unknown): void => log.warn({ err: error }, 'presence is behind');
    this.#timers = [
      clock.every(EXPIRE_EVERY_MS, () => {
        this.ports.store.expire(clock.now()).then((changes) => this.#note(changes), failed);
      }),
      clock.every(DEBOUNCE_MS, () => void this.#tell().catch(failed)),
    ];
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
  }

  async beat(serverId: InstanceId, _epoch: number, beats: readonly PresenceBeat[]): Promise<void> {
    this.#note(await this.ports.store.beat(serverId, beats, this.ports.context.clock.now()));
  }

  async get(workspaceId: WorkspaceId, userIds: readonly UserId[]): Promise<readonly Presence[]> {
    const states = await this.ports.store.get(workspaceId, userIds, this.ports.context.clock.now());
    return states.map(view);
  }

  #note(changes: readonly PresenceChange[]): void {
    for (const change of changes) {
      this.#pending.delete(change.userId);
      this.#pending.set(change.userId, change);
      if (this.#pending.size <= PENDING_MAX) continue;
      const oldest = this.#pending.keys().next();
      if (oldest.done !== true) this.#pending.delete(oldest.value);
      this.#drops.inc({ reason: 'pending_full' });
    }
  }

  async #tell(): Promise<void> {
    if (this.#pending.size === 0) return;
    const due = [...this.#pending.values()];
    this.#pending.clear();
    await Promise.all(
      due.map((change) => {
        this.#changes.inc({ status: change.status });
        return publishLossy(this.ports.frames, `p:${change.userId}`, {
          workspaceId: change.workspaceId,
          conversationId: null,
          history: 'all',
          frames: [{ event: 'presence.changed', data: JSON.stringify(view(change)) }],
          seq: seq(0),
          showsSeq: seq(0),
          memberSeq: seq(0),
          prevMemberSeq: seq(0),
          receivedAtMs: 0,
        });
      }),
    );
    await this.ports.bus.publish(
      'presence',
      due.map((change) => ({ key: change.userId, value: { workspaceId: change.workspaceId, ...view(change) } })),
    );
  }
}

function view({ userId, status, lastSeenMs }: Omit<PresenceChange, 'workspaceId'>): Presence {
  return { userId, status, lastSeenAt: lastSeenMs === null ? null : new Date(lastSeenMs).toISOString() };
}
