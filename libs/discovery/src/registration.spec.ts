import { describe, expect, it } from '@jest/globals';
import type { InstanceId } from '@parley/contracts';

import { Registration } from './registration.js';
import type { InstanceInfo, Lease, LeaseLoss, ServiceDiscovery } from './service-discovery.js';

const INFO: InstanceInfo = {
  service: 'routing',
  instanceId: 'routing-1' as InstanceId,
  address: 'a:1',
  region: 'local',
  version: '1',
  state: 'ready',
};

/** A discovery whose leases are lost when the test says so. */
function given() {
  const registered: InstanceInfo[] = [];
  const lose: ((loss: LeaseLoss) => void)[] = [];
  const revoked: number[] = [];
  const state = { failures: 0 };
  const told: string[] = [];
  const renewals: (() => void)[] = [];
  const discovery: Pick<ServiceDiscovery, 'register'> = {
    async register(info) {
      if (state.failures > 0) {
        state.failures -= 1;
        throw new Error('away');
      }
      registered.push(info);
      const epoch = registered.length;
      const { promise: lost, resolve } = Promise.withResolvers<LeaseLoss>();
      lose.push(resolve);
      return {
        epoch,
        lost,
        update: async () => undefined,
        revoke: async () => void revoked.push(epoch),
      } satisfies Lease;
    },
  };
  const next = (): Promise<void> => new Promise((resolve) => renewals.push(resolve));
  const options = {
    renewed: (epoch: number) => {
      told.push(`renewed ${epoch}`);
      renewals.shift()?.();
    },
    taken: () => {
      told.push('taken');
      renewals.shift()?.();
    },
    failed: () => void told.push('failed'),
    pause: async () => undefined,
  };
  return {
    registered,
    lose,
    revoked,
    state,
    told,
    next,
    open: () => Registration.open(discovery as ServiceDiscovery, INFO, options),
  };
}

describe('a registration', () => {
  it('is followed by the next, as it last was and with a new epoch, when its lease expired', async () => {
    const { open, lose, registered, told, next, state } = given();
    const registration = await open();
    await registration.update({ connections: 7 });
    state.failures = 2;
    const renewed = next();
    lose[0]?.('expired');
    await renewed;
    expect([told, registration.epoch, registered[1]?.connections]).toEqual([['failed', 'failed', 'renewed 2'], 2, 7]);
  });

  it('ends when another process is the instance now', async () => {
    const { open, lose, registered, told, next } = given();
    await open();
    const taken = next();
    lose[0]?.('taken');
    await taken;
    expect([told, registered.length]).toEqual([['taken'], 1]);
  });

  it('is not renewed after it was given up', async () => {
    const { open, revoked, registered } = given();
    const registration = await open();
    await registration.revoke();
    expect([revoked, registered.length]).toEqual([[1], 1]);
  });
});
