import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Etcd3 } from 'etcd3';

import type { InstanceId } from '@parley/contracts';

import { discoveryConformance } from './conformance.js';
import { EtcdDiscovery, type EtcdDiscoveryConfig } from './etcd.js';
import type { Instance, InstanceInfo, Lease } from './service-discovery.js';

const endpoints = (process.env['PARLEY_ETCD_ENDPOINTS'] ?? '').split(',').filter((each) => each !== '');
if (endpoints.length === 0) throw new Error('PARLEY_ETCD_ENDPOINTS is not set: start the stack first (make stack)');

let made = 0;
const newPrefix = (): string => `/parley-spec/${process.pid}-${Date.now()}-${(made += 1)}`;

discoveryConformance('etcd', async () => {
  const discovery = await EtcdDiscovery.open({ endpoints, prefix: newPrefix() });
  return { discovery, close: () => discovery.close() };
});

/** The way to etcd, which can go silent (connections stay open, nothing is answered) or break. */
class Wire {
  readonly #sockets = new Set<Socket>();
  #server: Server;
  #silent = false;

  private constructor(private readonly target: URL) {
    this.#server = createServer((client) => this.#join(client));
  }

  static async open(): Promise<Wire> {
    const wire = new Wire(new URL(endpoints[0] ?? ''));
    await new Promise<void>((resolve) => wire.#server.listen(0, '127.0.0.1', resolve));
    return wire;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  set silent(silent: boolean) {
    this.#silent = silent;
    for (const socket of this.#sockets) {
      if (silent) socket.pause();
      else socket.resume();
    }
  }

  break(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.break();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket): void {
    const server = connect(Number(this.target.port), this.target.hostname);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('data', (bytes) => to.write(bytes));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (this.#silent) from.pause();
    }
  }
}

describe('instances in etcd', () => {
  let prefix: string;
  let wire: Wire;
  let raw: Etcd3;
  let opened: EtcdDiscovery[];
  const open = async (config: Partial<EtcdDiscoveryConfig> = {}): Promise<EtcdDiscovery> => {
    const discovery = await EtcdDiscovery.open({ endpoints, prefix, leaseTtlMs: 2_000, callTimeoutMs: 500, ...config });
    opened.push(discovery);
    return discovery;
  };
  const openBehindWire = (config: Partial<EtcdDiscoveryConfig> = {}) => open({ endpoints: [wire.endpoint], ...config });
  const info = (instanceId: string, more: Partial<InstanceInfo> = {}): InstanceInfo => ({
    service: 'chat',
    instanceId: instanceId as InstanceId,
    address: 'here:1',
    region: 'here',
    version: '1',
    state: 'ready',
    ...more,
  });

  beforeEach(async () => {
    prefix = newPrefix();
    wire = await Wire.open();
    raw = new Etcd3({ hosts: [...endpoints] });
    opened = [];
  });
  afterEach(async () => {
    for (const discovery of opened) await discovery.close();
    raw.close();
    await wire.close();
  });

  /** Every list that a watch announced, and a promise for one that is as awaited. */
  async function watched(discovery: EtcdDiscovery) {
    const lists: (readonly Instance[])[] = [];
    let check = (): void => undefined;
    const watch = await discovery.watch('chat', (instances) => {
      lists.push(instances);
      check();
    });
    const until = (awaited: (instances: readonly Instance[]) => boolean): Promise<void> =>
      new Promise((resolve) => {
        check = () => {
          if (awaited(watch.instances())) resolve();
        };
        check();
      });
    return { lists, instances: watch.instances, until };
  }
  const expire = async (instanceId: string): Promise<void> => {
    const kv = (await raw.getAll().prefix(`${prefix}/instances/chat/${instanceId}`).exec()).kvs[0];
    await raw.leaseClient.leaseRevoke({ ID: kv?.lease ?? '0' });
  };

  it('keeps a lease alive for longer than it lives, and lets that of a dead process run out', async () => {
    const [living, dying] = [await open(), await open()];
    const list = await watched(living);
    const lease = await living.register(info('living'));
    await dying.register(info('dying'));
    await list.until((instances) => instances.length === 2);
    await dying.close();
    await list.until((instances) => instances.length === 1);
    // The dead one's lease was as old: the other's has been renewed.
    await lease.update({ connections: 1 });
    await list.until(([first]) => first?.connections === 1);
  });

  it('tells a holder whose lease etcd has ended, which registers anew with a higher epoch', async () => {
    const discovery = await open();
    const first = await discovery.register(info('a'));
    await expire('a');
    expect(await first.lost).toBe('expired');
    expect((await discovery.register(info('a'))).epoch).toBeGreaterThan(first.epoch);
  });

  it('gives an instance a higher epoch in a store that was wiped', async () => {
    const discovery = await open();
    const first = await discovery.register(info('a'));
    await raw.delete().prefix(prefix);
    expect(await first.lost).toBe('expired');
    expect((await (await open({ nowMs: () => first.epoch + 1 })).register(info('a'))).epoch).toBeGreaterThan(
      first.epoch,
    );
    expect((await discovery.register(info('b'))).epoch).toBeGreaterThan(first.epoch);
  });

  it('gives every one of many who register at once an epoch of its own', async () => {
    const discoveries = [await open(), await open(), await open()];
    const leases = await Promise.all(
      Array.from({ length: 30 }, (_, at) => discoveries[at % 3]?.register(info(`many-${at % 10}`))),
    );
    expect(new Set(leases.map((lease) => lease?.epoch)).size).toBe(30);
    const list = await watched(await open());
    const highest = (instanceId: string): number =>
      Math.max(
        ...leases.flatMap((lease, at) => (lease !== undefined && `many-${at % 10}` === instanceId ? lease.epoch : [])),
      );
    await list.until((instances) => instances.length === 10);
    for (const { instanceId, epoch } of list.instances()) expect(epoch).toBe(highest(instanceId));
  });

  it('reports a record that nobody of us wrote and lists the others', async () => {
    const problems: unknown[] = [];
    const discovery = await open({ onProblem: (problem) => problems.push(problem) });
    await raw.put(`${prefix}/instances/chat/odd`).value('no json');
    await discovery.register(info('a'));
    const list = await watched(discovery);
    expect(list.instances().map(({ instanceId }) => instanceId)).toEqual(['a']);
    expect(String(problems[0])).toContain('/instances/chat/odd');
  });

  it('opens with a word about where etcd was looked for', async () => {
    const opening = EtcdDiscovery.open({ endpoints: ['http://127.0.0.1:1'], connectTimeoutMs: 200 });
    await expect(opening).rejects.toThrow('etcd at http://127.0.0.1:1');
  });

  it('uses another endpoint when one is silent', async () => {
    wire.silent = true;
    const discovery = await open({ endpoints: [wire.endpoint, ...endpoints], callTimeoutMs: 1_000 });
    await discovery.register(info('a'));
    expect((await watched(discovery)).instances()).toHaveLength(1);
  });

  describe.each(['silent', 'broken'] as const)('when the way to etcd is %s', (how) => {
    const cut = (): void => {
      wire.silent = true;
      if (how === 'broken') wire.break();
    };
    const mend = (): void => {
      wire.silent = false;
    };

    it('refuses updates in bounded time, and writes them when it is back', async () => {
      const discovery = await openBehindWire({ leaseTtlMs: 60_000 });
      const list = await watched(await open());
      const lease = await discovery.register(info('a'));
      await list.until((instances) => instances.length === 1);
      cut();
      const started = performance.now();
      const refused = await Promise.allSettled([1, 2, 3].map((connections) => lease.update({ connections })));
      expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
      await expect(lease.update({ state: 'draining' })).rejects.toMatchObject({ code: 'unavailable' });
      expect(performance.now() - started).toBeLessThan(4_000);
      mend();
      await written(lease);
      await list.until(([first]) => first?.state === 'draining' && first.connections === 3);
    });

    it('keeps the list, and those whose leases ran out meanwhile until they are back', async () => {
      const [one, other] = [await openBehindWire(), await openBehindWire()];
      const [inside, outside] = [await watched(one), await watched(await open())];
      const leases = [await one.register(info('a')), await other.register(info('b'))];
      await inside.until((instances) => instances.length === 2);
      await outside.until((instances) => instances.length === 2);
      cut();
      await outside.until((instances) => instances.length === 0);
      expect(inside.instances()).toHaveLength(2);
      mend();
      expect(await Promise.all(leases.map(({ lost }) => lost))).toEqual(['expired', 'expired']);
      const again = [await one.register(info('a')), await other.register(info('b'))];
      const epochs = again.map(({ epoch }) => epoch);
      await inside.until((instances) => instances.every(({ epoch }) => epochs.includes(epoch)));
      await outside.until((instances) => instances.length === 2);
      expect(inside.lists.slice(2).map((instances) => instances.length)).not.toContain(0);
      expect(inside.lists.slice(2).map((instances) => instances.length)).not.toContain(1);
    });

    it('drops those who do not come back after the grace, and those who leave at once', async () => {
      const [one, other] = [await openBehindWire({ graceMs: 2_500, relistEveryMs: 300 }), await openBehindWire()];
      const [inside, outside] = [await watched(one), await watched(await open())];
      await other.register(info('dies'));
      await inside.until((instances) => instances.length === 1);
      await outside.until((instances) => instances.length === 1);
      cut();
      await other.close();
      await outside.until((instances) => instances.length === 0);
      mend();
      const leaving = await one.register(info('leaves'));
      await inside.until((instances) => instances.length === 2);
      await leaving.revoke();
      await inside.until((instances) => instances.length === 1);
      expect(inside.instances()).toMatchObject([{ instanceId: 'dies' }]);
      await inside.until((instances) => instances.length === 0);
    });
  });
});

/** Until an update goes through. */
async function written(lease: Lease): Promise<void> {
  for (;;) {
    const [{ status }] = await Promise.allSettled([lease.update({})]);
    if (status === 'fulfilled') return;
  }
}
