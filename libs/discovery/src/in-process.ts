import type { InstanceId } from '@parley/contracts';
import { ParleyError } from '@parley/contracts';

import type {
  Instance,
  InstanceInfo,
  Lease,
  LeaseLoss,
  ServiceDiscovery,
  ServiceName,
  Watch,
} from './service-discovery.js';

interface Held {
  instance: Instance;
  readonly lose: () => void;
}

interface Watcher {
  readonly service: ServiceName;
  readonly changed: ((instances: readonly Instance[]) => void) | undefined;
}

/** The registry of one process. Leases end when they are revoked or taken over, never by time. */
export class InProcessDiscovery implements ServiceDiscovery {
  readonly #held = new Map<InstanceId, Held>();
  readonly #watchers = new Set<Watcher>();
  /** Lists by service, made anew after a change only: they are read far more often. */
  readonly #lists = new Map<ServiceName, readonly Instance[]>();
  /** One counter for all instances: so each instance's epochs rise, also after it was gone. */
  #lastEpoch = 0;

  async register(info: InstanceInfo): Promise<Lease> {
    const epoch = (this.#lastEpoch += 1);
    const { promise: lost, resolve: lose } = Promise.withResolvers<LeaseLoss>();
    const held: Held = { instance: { ...info, epoch }, lose: () => lose('taken') };
    const older = this.#held.get(info.instanceId);
    this.#held.set(info.instanceId, held);
    older?.lose();
    if (older !== undefined && older.instance.service !== info.service) this.#announce(older.instance.service);
    this.#announce(info.service);
    const isHeld = (): boolean => this.#held.get(info.instanceId) === held;
    return {
      epoch,
      lost,
      update: async (change) => {
        if (!isHeld()) throw new ParleyError('conflict', `The lease of ${info.instanceId}, epoch ${epoch}, is lost`);
        held.instance = { ...held.instance, ...change };
        this.#announce(info.service);
      },
      revoke: async () => {
        if (!isHeld()) return;
        this.#held.delete(info.instanceId);
        this.#announce(info.service);
      },
    };
  }

  async watch(service: ServiceName, changed?: (instances: readonly Instance[]) => void): Promise<Watch> {
    const watcher: Watcher = { service, changed };
    this.#watchers.add(watcher);
    return {
      instances: () => this.#list(service),
      close: () => {
        this.#watchers.delete(watcher);
      },
    };
  }

  async close(): Promise<void> {
    this.#watchers.clear();
  }

  #announce(service: ServiceName): void {
    this.#lists.delete(service);
    for (const watcher of this.#watchers) if (watcher.service === service) watcher.changed?.(this.#list(service));
  }

  #list(service: ServiceName): readonly Instance[] {
    const known = this.#lists.get(service);
    if (known !== undefined) return known;
    const list: Instance[] = [];
    for (const { instance } of this.#held.values()) if (instance.service === service) list.push(instance);
    this.#lists.set(service, list);
    return list;
  }
}
