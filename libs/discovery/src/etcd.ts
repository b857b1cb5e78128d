import type { InstanceId } from '@parley/contracts';

import { EtcdConnection, type EtcdConnectionConfig } from './etcd-connection.js';
import { EtcdLease } from './etcd-lease.js';
import { EtcdListing } from './etcd-listing.js';
import { Keys } from './etcd-records.js';
import type { Instance, InstanceInfo, Lease, ServiceDiscovery, ServiceName, Watch } from './service-discovery.js';

export interface EtcdDiscoveryConfig extends EtcdConnectionConfig {
  /** Of all keys of this installation. */
  readonly prefix?: string;
  /** An instance that is not heard of for this long is off the list. */
  readonly leaseTtlMs?: number;
  readonly relistEveryMs?: number;
  /** Instances whose lease ran out while etcd was away, or within this after, stay listed for so long. */
  readonly graceMs?: number;
  /** How long opening, registering and the first list of a watch wait for an etcd that is away. */
  readonly connectTimeoutMs?: number;
  /** Hears what was survived: etcd away, a watch that broke, a record that cannot be read. */
  readonly onProblem?: (error: unknown) => void;
}

const PREFIX = '/parley';
const LEASE_TTL_MS = 10_000;
const RELIST_EVERY_MS = 10_000;
const GRACE_MS = 15_000;
const CONNECT_TIMEOUT_MS = 30_000;

interface Followed {
  readonly listing: EtcdListing;
  readonly started: Promise<void>;
  readonly watchers: Set<{ changed?: (instances: readonly Instance[]) => void }>;
}

/** The instances of a cluster, in etcd. One list and watch of each service that somebody here watches. */
export class EtcdDiscovery implements ServiceDiscovery {
  readonly #keys: Keys;
  readonly #connectTimeoutMs: number;
  readonly #nowMs: () => number;
  readonly #onProblem: (error: unknown) => void;
  readonly #followed = new Map<ServiceName, Followed>();
  readonly #leases = new Set<EtcdLease>();
  /** Of instances of this process: an etcd that was wiped does not know them. */
  readonly #epochs = new Map<InstanceId, number>();

  private constructor(
    private readonly connection: EtcdConnection,
    private readonly config: EtcdDiscoveryConfig,
  ) {
    this.#keys = new Keys(config.prefix ?? PREFIX);
    this.#connectTimeoutMs = config.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    this.#nowMs = config.nowMs ?? Date.now;
    this.#onProblem = config.onProblem ?? (() => undefined);
  }

  static async open(config: EtcdDiscoveryConfig): Promise<EtcdDiscovery> {
    const connection = new EtcdConnection(config);
    const discovery = new EtcdDiscovery(connection, config);
    try {
      await connection.persist(discovery.#connectTimeoutMs, () =>
        connection.call((client, options) => client.kv.range({ key: discovery.#keys.lastEpoch }, options)),
      );
    } catch (error) {
      connection.close();
      throw new Error(`The discovery could not be opened: ${connection.name}`, { cause: error });
    }
    return discovery;
  }

  async register(info: InstanceInfo): Promise<Lease> {
    const { instanceId } = info;
    const config = {
      ttlMs: this.config.leaseTtlMs ?? LEASE_TTL_MS,
      nowMs: this.#nowMs,
      onProblem: this.#onProblem,
    };
    const lease = await this.connection.persist(this.#connectTimeoutMs, () =>
      EtcdLease.register(this.connection, this.#keys, config, info, this.#epochs.get(instanceId) ?? 0),
    );
    this.#epochs.set(instanceId, lease.epoch);
    this.#leases.add(lease);
    void lease.lost.then(() => this.#leases.delete(lease));
    return lease;
  }

  async watch(service: ServiceName, changed?: (instances: readonly Instance[]) => void): Promise<Watch> {
    const followed = this.#follow(service);
    const watcher: { changed?: (instances: readonly Instance[]) => void } = {};
    followed.watchers.add(watcher);
    const close = (): void => {
      if (!followed.watchers.delete(watcher) || followed.watchers.size > 0) return;
      followed.listing.close();
      if (this.#followed.get(service) === followed) this.#followed.delete(service);
    };
    try {
      await followed.started;
    } catch (error) {
      close();
      throw error;
    }
    if (changed !== undefined) watcher.changed = changed;
    return { instances: () => followed.listing.instances, close };
  }

  async close(): Promise<void> {
    for (const { listing } of this.#followed.values()) listing.close();
    for (const lease of this.#leases) lease.close();
    this.connection.close();
  }

  #follow(service: ServiceName): Followed {
    const known = this.#followed.get(service);
    if (known !== undefined) return known;
    const watchers: Followed['watchers'] = new Set();
    const listing = new EtcdListing(
      this.connection,
      this.#keys.service(service),
      {
        relistEveryMs: this.config.relistEveryMs ?? RELIST_EVERY_MS,
        graceMs: this.config.graceMs ?? GRACE_MS,
        nowMs: this.#nowMs,
        onProblem: this.#onProblem,
      },
      (instances) => {
        for (const { changed } of watchers) changed?.(instances);
      },
    );
    const started = this.connection.persist(this.#connectTimeoutMs, () => listing.start());
    const followed = { listing, started, watchers };
    this.#followed.set(service, followed);
    return followed;
  }
}
