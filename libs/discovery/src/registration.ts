import type { InstanceInfo, Lease, ServiceDiscovery } from './service-discovery.js';

export interface RegistrationOptions {
  /** Registered anew after the lease had expired: what was announced under the old epoch is announced again. */
  readonly renewed?: (epoch: number) => void;
  /** Another process is this instance now: stop serving. */
  readonly taken: () => void;
  /** A registration that failed is tried again; for the log. */
  readonly failed: (error: unknown) => void;
  /** Resolves when the next attempt is due. */
  readonly pause: () => Promise<void>;
}

/** Keeps an instance on the list for as long as it serves: a lease that expired is followed by the next, with a new epoch. */
export class Registration {
  #lease: Lease;
  #info: InstanceInfo;
  #closed = false;

  private constructor(
    private readonly discovery: ServiceDiscovery,
    info: InstanceInfo,
    lease: Lease,
    private readonly options: RegistrationOptions,
  ) {
    this.#info = info;
    this.#lease = lease;
    this.#follow(lease);
  }

  static async open(
    discovery: ServiceDiscovery,
    info: InstanceInfo,
    options: RegistrationOptions,
  ): Promise<Registration> {
    return new Registration(discovery, info, await discovery.register(info), options);
  }

  get epoch(): number {
    return this.#lease.epoch;
  }

  /** Changes what others see; a change that the store does not take now goes with the next one. */
  async update(change: Partial<Omit<InstanceInfo, 'service' | 'instanceId'>>): Promise<void> {
    this.#info = { ...this.#info, ...change };
    await this.#lease.update(change);
  }

  async revoke(): Promise<void> {
    this.#closed = true;
    await this.#lease.revoke();
  }

  #follow(lease: Lease): void {
    void lease.lost.then((loss) => {
      if (this.#closed) return undefined;
      if (loss === 'taken') return this.options.taken();
      return this.#renew();
    });
  }

  async #renew(): Promise<void> {
    while (!this.#closed) {
      try {
        const lease = await this.discovery.register(this.#info);
        if (this.#closed) {
          await lease.revoke();
          return;
        }
        this.#lease = lease;
        this.#follow(lease);
        this.options.renewed?.(lease.epoch);
        return;
      } catch (error) {
        this.options.failed(error);
        await this.options.pause();
      }
    }
  }
}
