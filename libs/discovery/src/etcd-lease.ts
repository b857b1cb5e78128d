import { type InstanceId, ParleyError } from '@parley/contracts';

import type { EtcdConnection } from './etcd-connection.js';
import { encodeInstance, type Keys } from './etcd-records.js';
import type { InstanceInfo, Lease, LeaseLoss } from './service-discovery.js';

export interface EtcdLeaseConfig {
  readonly ttlMs: number;
  readonly nowMs: () => number;
  readonly onProblem: (error: unknown) => void;
}

/** Keep-alives in a lease's life: two may be lost. */
const KEEP_ALIVES_PER_TTL = 3;
const RETRY_MS = 500;
/** Each lost race is another instance's registration. */
const REGISTER_ATTEMPTS_MAX = 1_000;

/**
 * | from | event | to |
 * |---|---|---|
 * | held | revoke | left |
 * | held | etcd says that the lease or the key is another's, or gone | lost |
 * | held | etcd does not answer | held: nobody can know, and who serves goes on serving |
 */
type LeaseState = 'held' | 'lost' | 'left';

/** One registration: a key under an etcd lease that this process keeps alive. */
export class EtcdLease implements Lease {
  readonly lost: Promise<LeaseLoss>;
  readonly #lose: (loss: LeaseLoss) => void;
  readonly #key: Buffer;
  #state: LeaseState = 'held';
  #timer: NodeJS.Timeout | undefined;
  /** The write under way, and the one that will carry everything that was asked for since. */
  #writing: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;

  private constructor(
    private readonly connection: EtcdConnection,
    keys: Keys,
    private readonly config: EtcdLeaseConfig,
    private readonly leaseId: string,
    readonly epoch: number,
    private info: InstanceInfo,
    private written: Buffer | undefined,
  ) {
    this.#key = keys.instance(info.service, info.instanceId);
    const { promise, resolve } = Promise.withResolvers<LeaseLoss>();
    this.lost = promise;
    this.#lose = resolve;
    this.#tickAfter(this.#everyMs);
  }

  /** One attempt. The epoch is higher than `floor`, than every epoch that was ever given out, and than a wiped store's. */
  static async register(
    connection: EtcdConnection,
    keys: Keys,
    config: EtcdLeaseConfig,
    info: InstanceInfo,
    floor: number,
  ): Promise<EtcdLease> {
    const { ID } = await connection.call((client, options) =>
      client.leaseClient.leaseGrant({ TTL: Math.ceil(config.ttlMs / 1_000) }, options),
    );
    const counter = keys.lastEpoch;
    const first = await connection.call((client, options) => client.kv.range({ key: counter }, options));
    let last = first.kvs[0];
    for (let attempt = 0; attempt < REGISTER_ATTEMPTS_MAX; attempt += 1) {
      // Epochs also fence in stores that outlive a wiped etcd, so they do not start again from 1: milliseconds do not.
      const epoch = Math.max(config.nowMs(), Number(last?.value.toString() ?? 0) + 1, floor + 1);
      const written = encodeInstance(info, epoch);
      const { succeeded, responses } = await connection.call((client, options) =>
        client.kv.txn(
          {
            compare: [{ key: counter, result: 'Equal', target: 'Mod', mod_revision: last?.mod_revision ?? 0 }],
            success: [
              { request_put: { key: counter, value: Buffer.from(String(epoch)) } },
              { request_put: { key: keys.instance(info.service, info.instanceId), value: written, lease: ID } },
            ],
            failure: [{ request_range: { key: counter } }],
          },
          options,
        ),
      );
      if (succeeded) return new EtcdLease(connection, keys, config, ID, epoch, info, written);
      last = responses[0]?.response_range.kvs[0];
    }
    throw new ParleyError('unavailable', `${info.instanceId} could not be registered: too many others were`);
  }

  get instanceId(): InstanceId {
    return this.info.instanceId;
  }

  async update(change: Partial<Omit<InstanceInfo, 'service' | 'instanceId'>>): Promise<void> {
    this.#refuseUnlessHeld();
    this.info = { ...this.info, ...change };
    // While etcd is away one write waits for the other's end, whatever is asked for; the latest state wins.
    this.#queued ??= this.#writing.then(() => {
      this.#queued = undefined;
      const write = this.#write();
      this.#writing = write.catch(() => undefined);
      return write;
    });
    await this.#queued;
  }

  async revoke(): Promise<void> {
    if (this.#state !== 'held') return;
    this.#state = 'left';
    clearTimeout(this.#timer);
    try {
      await this.#putIfHeld(encodeInstance(this.info, this.epoch, true));
    } catch (error) {
      // It ends by itself within its life.
      this.config.onProblem(error);
    }
  }

  /** Stops keeping it alive. */
  close(): void {
    clearTimeout(this.#timer);
    if (this.#state === 'held') this.#state = 'left';
  }

  get #everyMs(): number {
    return this.config.ttlMs / KEEP_ALIVES_PER_TTL;
  }

  #tickAfter(ms: number): void {
    if (this.#state !== 'held') return;
    this.#timer = setTimeout(() => void this.#tick(), ms);
    this.#timer.unref();
  }

  async #tick(): Promise<void> {
    try {
      // First a plain call: only for those does etcd3 sign in anew when etcd has forgotten its tokens.
      const own = await this.#holder();
      const ttl = own?.lease === this.leaseId ? await this.#keepAlive() : 0;
      if (this.#state !== 'held') return;
      if (own === undefined || ttl <= 0) {
        this.#end(own === undefined || own.lease === this.leaseId ? 'expired' : 'taken');
        return;
      }
      // An update that found etcd away is made good.
      if (!own.value.equals(encodeInstance(this.info, this.epoch))) await this.update({});
      this.#tickAfter(this.#everyMs);
    } catch (error) {
      this.config.onProblem(error);
      this.#tickAfter(Math.min(RETRY_MS, this.#everyMs));
    }
  }

  /** What is left of the lease, in seconds; 0 when it is gone. A stream for each: one that is kept can die in silence. */
  #keepAlive(): Promise<number> {
    return this.connection.call(async (client, options) => {
      const stream = await client.leaseClient.leaseKeepAlive(options);
      try {
        return await new Promise<number>((resolve, reject) => {
          stream
            .on('data', ({ TTL }) => resolve(Number(TTL)))
            .on('error', reject)
            .on('end', () => reject(new Error('etcd ended a keep-alive without an answer')));
          stream.write({ ID: this.leaseId });
        });
      } finally {
        stream.end();
      }
    });
  }

  async #holder() {
    const { kvs } = await this.connection.call((client, options) => client.kv.range({ key: this.#key }, options));
    return kvs[0];
  }

  async #write(): Promise<void> {
    this.#refuseUnlessHeld();
    const value = encodeInstance(this.info, this.epoch);
    if (this.written?.equals(value) === true) return;
    // Until etcd says so, nobody knows which of the two is there.
    this.written = undefined;
    const { succeeded, responses } = await this.#putIfHeld(value);
    if (!succeeded) {
      this.#end(responses[0]?.response_range.kvs[0] === undefined ? 'expired' : 'taken');
      this.#refuseUnlessHeld();
    }
    this.written = value;
  }

  #putIfHeld(value: Buffer) {
    const key = this.#key;
    return this.connection.call((client, options) =>
      client.kv.txn(
        {
          compare: [{ key, result: 'Equal', target: 'Lease', lease: this.leaseId }],
          success: [{ request_put: { key, value, lease: this.leaseId } }],
          failure: [{ request_range: { key } }],
        },
        options,
      ),
    );
  }

  #end(loss: LeaseLoss): void {
    if (this.#state !== 'held') return;
    this.#state = 'lost';
    clearTimeout(this.#timer);
    this.#lose(loss);
  }

  #refuseUnlessHeld(): void {
    if (this.#state === 'held') return;
    throw new ParleyError('conflict', `The lease of ${this.info.instanceId}, epoch ${this.epoch}, is ${this.#state}`);
  }
}
