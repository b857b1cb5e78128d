import { InstanceId, ParleyError } from '@parley/contracts';
import { z } from 'zod';

import type { Instance, InstanceInfo, ServiceName } from './service-discovery.js';

const count = z.int().min(0);

/** What the key of an instance holds. */
const StoredInstance = z.object({
  service: z.enum(['gateway', 'chat', 'routing', 'delivery', 'presence', 'push-notification']),
  instanceId: InstanceId,
  address: z.string(),
  doorAddress: z.string().exactOptional(),
  publicUrl: z.string().exactOptional(),
  region: z.string(),
  version: z.string(),
  state: z.enum(['starting', 'ready', 'draining']),
  capacity: count.exactOptional(),
  connections: count.exactOptional(),
  readySinceMs: z.number().exactOptional(),
  epoch: count,
  /**
   * The holder left by itself. A deletion cannot say that: etcd reports a key that was deleted and one whose lease ran out
   * in the same way. The key goes with its lease a little later.
   */
  left: z.literal(true).exactOptional(),
});

export interface StoredInstance {
  readonly instance: Instance;
  readonly left: boolean;
}

export function encodeInstance(info: InstanceInfo, epoch: number, left = false): Buffer {
  return Buffer.from(JSON.stringify({ ...info, epoch, ...(left ? { left } : {}) }));
}

/** Throws for what nobody of us wrote. */
export function decodeInstance(key: Buffer, value: Buffer): StoredInstance {
  let json: unknown;
  try {
    json = JSON.parse(value.toString());
  } catch {
    json = undefined;
  }
  const parsed = StoredInstance.safeParse(json);
  if (!parsed.success) throw new ParleyError('internal', `etcd holds no instance under ${key.toString()}`);
  const { left, ...instance } = parsed.data;
  return { instance, left: left === true };
}

/** The keys of one installation. Ids have no slash. */
export class Keys {
  constructor(private readonly prefix: string) {}

  /** One counter for all instances: so each instance's epochs rise, also after it was gone, and nothing piles up. */
  get lastEpoch(): Buffer {
    return Buffer.from(`${this.prefix}/last-epoch`);
  }

  instance(service: ServiceName, instanceId: InstanceId): Buffer {
    return Buffer.from(`${this.prefix}/instances/${service}/${instanceId}`);
  }

  /** All instances of a service; `0` is the character after the slash. */
  service(service: ServiceName): { readonly key: Buffer; readonly range_end: Buffer } {
    const folder = `${this.prefix}/instances/${service}`;
    return { key: Buffer.from(`${folder}/`), range_end: Buffer.from(`${folder}0`) };
  }
}
