import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { InstanceId } from '@parley/contracts';

import type { Instance, InstanceInfo, ServiceDiscovery, ServiceName, Watch } from './service-discovery.js';

export interface ConformanceSubject {
  readonly discovery: ServiceDiscovery;
  close(): Promise<void>;
}

/** A watch with a promise for when its list is as awaited. */
class Watched {
  readonly lists: (readonly Instance[])[] = [];
  #check: (() => void) | null = null;
  #watch: Watch | null = null;

  async start(discovery: ServiceDiscovery, service: ServiceName): Promise<this> {
    this.#watch = await discovery.watch(service, (instances) => {
      this.lists.push(instances);
      this.#check?.();
    });
    return this;
  }

  get instances(): readonly Instance[] {
    return this.#watch?.instances() ?? [];
  }

  close(): void {
    this.#watch?.close();
  }

  until(awaited: (instances: readonly Instance[]) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#check = () => {
        if (awaited(this.instances)) resolve();
      };
      this.#check();
    });
  }
}

/** What every adapter of the port must do. `open` gives a discovery without instances. */
export function discoveryConformance(name: string, open: () => Promise<ConformanceSubject>): void {
  describe(`${name} as a service discovery`, () => {
    let subject: ConformanceSubject;
    let discovery: ServiceDiscovery;
    const info = (instanceId: string, more: Partial<InstanceInfo> = {}): InstanceInfo => ({
      service: 'chat',
      instanceId: instanceId as InstanceId,
      address: `10.0.0.1:${4_000 + instanceId.length}`,
      region: 'here',
      version: '1',
      state: 'starting',
      ...more,
    });
    const watch = (service: ServiceName = 'chat'): Promise<Watched> => new Watched().start(discovery, service);

    beforeEach(async () => {
      subject = await open();
      discovery = subject.discovery;
    });
    afterEach(() => subject.close());

    it('lists what is registered, by service, as soon as it is watched', async () => {
      const chat = info('chat-1', { capacity: 100, connections: 3, readySinceMs: 5, publicUrl: 'https://chat-1' });
      const { epoch } = await discovery.register(chat);
      await discovery.register(info('routing-1', { service: 'routing' }));
      expect((await watch()).instances).toEqual([{ ...chat, epoch }]);
      expect((await watch('routing')).instances).toHaveLength(1);
      expect((await watch('delivery')).instances).toEqual([]);
    });

    it('announces instances that come, change and go', async () => {
      const watched = await watch();
      const lease = await discovery.register(info('chat-1'));
      await watched.until((instances) => instances.length === 1);
      await lease.update({ state: 'ready', connections: 7 });
      await watched.until(([first]) => first?.state === 'ready' && first.connections === 7);
      await lease.update({ state: 'draining' });
      await watched.until(([first]) => first?.state === 'draining');
      await lease.revoke();
      await watched.until((instances) => instances.length === 0);
      const states = watched.lists.map(([first]) => first?.state);
      expect(states.filter((state, index) => state !== states[index - 1])).toEqual(
        expect.arrayContaining(['draining', undefined]),
      );
    });

    it('lets a new registration of an instance take it over, with a higher epoch', async () => {
      const watched = await watch();
      const older = await discovery.register(info('chat-1', { address: 'old:1' }));
      const newer = await discovery.register(info('chat-1', { address: 'new:1' }));
      expect(await older.lost).toBe('taken');
      expect(newer.epoch).toBeGreaterThan(older.epoch);
      await watched.until(([first, ...others]) => first?.epoch === newer.epoch && others.length === 0);
      expect(watched.instances).toMatchObject([{ address: 'new:1' }]);
      await expect(older.update({ state: 'ready' })).rejects.toMatchObject({ code: 'conflict' });
      await older.revoke();
      await newer.update({ state: 'ready' });
      await watched.until(([first]) => first?.state === 'ready');
    });

    it('gives an instance that comes back a higher epoch than it ever had', async () => {
      const first = await discovery.register(info('chat-1'));
      await first.revoke();
      await expect(first.update({ state: 'ready' })).rejects.toMatchObject({ code: 'conflict' });
      expect((await discovery.register(info('chat-1'))).epoch).toBeGreaterThan(first.epoch);
    });

    it('announces nothing to a watch that was closed', async () => {
      const [closed, open] = [await watch(), await watch()];
      closed.close();
      await discovery.register(info('chat-1'));
      await open.until((instances) => instances.length === 1);
      expect(closed.lists).toEqual([]);
    });
  });
}
