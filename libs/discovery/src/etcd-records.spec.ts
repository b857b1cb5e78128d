import { describe, expect, it } from '@jest/globals';

import type { InstanceId } from '@parley/contracts';

import { decodeInstance, encodeInstance, Keys } from './etcd-records.js';
import type { InstanceInfo } from './service-discovery.js';

const KEY = Buffer.from('/parley/instances/chat/a');
const info: InstanceInfo = {
  service: 'chat',
  instanceId: 'a' as InstanceId,
  address: 'here:1',
  doorAddress: 'here:2',
  publicUrl: 'https://a.example',
  region: 'here',
  version: '1',
  state: 'ready',
  capacity: 10,
  connections: 3,
  readySinceMs: 1_700_000_000_000,
};

describe('what etcd holds of an instance', () => {
  it('reads as it was written', () => {
    expect(decodeInstance(KEY, encodeInstance(info, 7))).toEqual({ instance: { ...info, epoch: 7 }, left: false });
    expect(decodeInstance(KEY, encodeInstance(info, 7, true)).left).toBe(true);
  });

  it('is refused, by its key, where it is something else', () => {
    for (const value of ['', 'no json', '{}', JSON.stringify({ ...info, epoch: 'x' })]) {
      expect(() => decodeInstance(KEY, Buffer.from(value))).toThrow('/parley/instances/chat/a');
    }
  });

  it('lies between the ends of its service, and of no other', () => {
    const keys = new Keys('/parley');
    const { key: first, range_end: end } = keys.service('chat');
    const isWithin = (key: Buffer): boolean => Buffer.compare(key, first) >= 0 && Buffer.compare(key, end) < 0;
    expect(isWithin(keys.instance('chat', 'a' as InstanceId))).toBe(true);
    expect(isWithin(keys.instance('routing', 'a' as InstanceId))).toBe(false);
    expect(isWithin(keys.lastEpoch)).toBe(false);
  });
});
