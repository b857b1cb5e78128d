import type { InstanceId } from '@parley/contracts';

export type ServiceName = 'gateway' | 'chat' | 'routing' | 'delivery' | 'presence' | 'push-notification';

export interface InstanceInfo {
  readonly service: ServiceName;
  readonly instanceId: InstanceId;
  /** Where links reach it: `inproc:<id>` in one process, `host:port` between processes. */
  readonly address: string;
  /** Chat servers between processes: where the gateway passes clients' connections to, `host:port`. */
  readonly doorAddress?: string;
  /** Chat servers that the platform exposes themselves: the URL that clients connect to, without the gateway. */
  readonly publicUrl?: string;
  readonly region: string;
  readonly version: string;
  readonly state: 'starting' | 'ready' | 'draining';
  /** Chat servers: how many sessions it takes, and has. */
  readonly capacity?: number;
  readonly connections?: number;
  /** Milliseconds since the epoch when it became ready; for slow start. */
  readonly readySinceMs?: number;
}

/** An instance as others see it; of one instance only the highest epoch is listed. */
export interface Instance extends InstanceInfo {
  readonly epoch: number;
}

/** `taken`: another registration of the instance id has a higher epoch. `expired`: nobody has it. */
export type LeaseLoss = 'taken' | 'expired';

export interface Lease {
  /** Higher than every earlier epoch of this instance id. */
  readonly epoch: number;
  /**
   * Changes what others see of this instance. Rejects with `conflict` once the lease is lost, and with `unavailable` while
   * the store is away: what was asked for is then written when it is back.
   */
  update(change: Partial<Omit<InstanceInfo, 'service' | 'instanceId'>>): Promise<void>;
  /**
   * Resolves, once, when the lease is lost without `revoke`. `taken`: stop serving, another process is this instance now;
   * `expired`: register anew, with a new epoch. The store has to say so: while it is away nobody can know whether a lease
   * has run out, and whoever serves goes on serving.
   */
  readonly lost: Promise<LeaseLoss>;
  /** The instance disappears from everyone's list at once; if the store is away, when its lease runs out. Never rejects. */
  revoke(): Promise<void>;
}

export interface Watch {
  /** The list as it is now; the last known one while the store is away. */
  readonly instances: () => readonly Instance[];
  close(): void;
}

/**
 * Instances of every service, under leases.
 *
 * Guarantees, for every adapter:
 * - An instance is listed from when `register` resolves until it revokes its lease or the lease runs out. An instance id
 *   belongs to one service.
 * - Registering an instance id again takes it over: the new epoch is higher, the older lease is lost.
 * - `watch` resolves with the list complete; changes show in it and are announced by `changed`, in order per instance.
 * - While the store is away the last list stands. Leases that ran out because nobody could reach the store do not empty
 *   the list when it is back: the instances stay on it for a grace, in which they register anew. Who left by `revoke` goes
 *   at once.
 */
export interface ServiceDiscovery {
  register(instance: InstanceInfo): Promise<Lease>;
  watch(service: ServiceName, changed?: (instances: readonly Instance[]) => void): Promise<Watch>;
  close(): Promise<void>;
}
