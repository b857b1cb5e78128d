import type { InstanceId } from '@parley/contracts';

export type ServiceName = 'gateway' | 'chat' | 'routing' | 'delivery' | 'presence' | 'push-notification';

export interface InstanceInfo {
  readonly service: ServiceName;
  readonly instanceId: InstanceId;
  /** Where links reach it: `inproc:<id>` in one process, `host:port` between processes. */
  readonly address: string;
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

export interface Lease {
  /** Higher than every earlier epoch of this instance id. */
  readonly epoch: number;
  /** Changes what others see of this instance. Rejects with `conflict` once the lease is lost. */
  update(change: Partial<Omit<InstanceInfo, 'service' | 'instanceId'>>): Promise<void>;
  /** Resolves when the lease is lost without `revoke`: stop serving, register anew. */
  readonly lost: Promise<void>;
  /** The instance disappears from everyone's list. */
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
 * - An instance is listed from when `register` resolves until it revokes its lease or the lease runs out.
 * - Registering an instance id again takes it over: the new epoch is higher, the older lease is lost.
 * - `watch` resolves with the list complete; changes show in it and are announced by `changed`, in order per instance.
 */
export interface ServiceDiscovery {
  register(instance: InstanceInfo): Promise<Lease>;
  watch(service: ServiceName, changed?: (instances: readonly Instance[]) => void): Promise<Watch>;
  close(): Promise<void>;
}
