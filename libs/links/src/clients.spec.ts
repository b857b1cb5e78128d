import { describe, expect, it } from '@jest/globals';
import {
  type Command,
  type CommandOutcome,
  type ConversationId,
  DEFAULT_WORKSPACE,
  type InstanceId,
  type MessagesRecord,
  ParleyError,
  type PresenceLink,
  type RoutingLink,
  seq,
  type UserId,
} from '@parley/contracts';
import { type Lease, openDiscovery, rank, type ServiceName } from '@parley/discovery';

import { deliveryClient, presenceClient, routingClient } from './clients.js';
import { InProcessLinks } from './in-process.js';
import { entryAt, recordOf } from './links-conformance.js';

const command = (conversationId: string): Command => ({
  actor: { workspaceId: DEFAULT_WORKSPACE, userId: 'ann' as UserId },
  conversationId: conversationId as ConversationId,
  context: { requestId: 'r', receivedAtMs: 0 },
  body: { kind: 'join' },
});
const DONE: CommandOutcome = { kind: 'unchanged', seq: seq(1) };

/** Three instances of routing on real discovery and links; each notes what it was asked. */
async function threeRoutings() {
  const discovery = await openDiscovery({ adapter: 'in-process' });
  const links = new InProcessLinks();
  const asked = new Map<string, string[]>();
  const leases = new Map<string, Lease>();
  const failing = new Map<string, Error>();
  const register = async (service: ServiceName, name: string): Promise<void> => {
    const lease = await discovery.register({
      service,
      instanceId: name as InstanceId,
      address: `inproc:${name}`,
      region: 'local',
      version: '1',
      state: 'ready',
    });
    leases.set(name, lease);
  };
  for (const name of ['r1', 'r2', 'r3']) {
    const seen: string[] = [];
    asked.set(name, seen);
    const routing: RoutingLink = {
      async submit({ conversationId }) {
        seen.push(conversationId);
        const error = failing.get(name);
        if (error !== undefined) throw error;
        return DONE;
      },
    };
    links.serve('routing', `inproc:${name}`, routing);
    await register('routing', name);
  }
  const watch = await discovery.watch('routing');
  const askedInOrder = (): string[] => [...asked].filter(([, seen]) => seen.length > 0).map(([name]) => name);
  return { client: routingClient(watch, links), watch, links, asked, leases, failing, askedInOrder, discovery };
}

describe('the routing client', () => {
  it('sends all of a conversation to the same instance, the first by rendezvous hash', async () => {
    const { client, watch, asked } = await threeRoutings();
    const ids = Array.from({ length: 60 }, (_, index) => `c${index}`);
    for (const id of [...ids, ...ids, ...ids]) await client.submit(command(id));
    for (const id of ids) {
      const first = rank(id, watch.instances())[0]?.instanceId;
      expect([id, asked.get(first ?? '')?.filter((seen) => seen === id).length]).toEqual([id, 3]);
    }
    for (const seen of asked.values()) expect(new Set(seen).size).toBeGreaterThan(5);
  });

  it('asks the next in hash order when the first is unavailable', async () => {
    const { client, watch, asked, failing } = await threeRoutings();
    const [first, second, third] = rank('c1', watch.instances()).map(({ instanceId }) => instanceId as string);
    failing.set(first ?? '', new ParleyError('unavailable', 'gone'));
    expect(await client.submit(command('c1'))).toEqual(DONE);
    expect([first, second, third].map((name) => asked.get(name ?? '')?.length)).toEqual([1, 1, 0]);
  });

  it('asks the next when nothing answers at the address', async () => {
    const { watch, links, asked, discovery } = await threeRoutings();
    await discovery.register({
      service: 'routing',
      instanceId: 'r0' as InstanceId,
      address: 'inproc:nowhere',
      region: 'local',
      version: '1',
      state: 'ready',
    });
    const id = Array.from({ length: 99 }, (_, index) => `c${index}`).find(
      (each) => rank(each, watch.instances())[0]?.instanceId === 'r0',
    );
    expect(await routingClient(watch, links).submit(command(id ?? ''))).toEqual(DONE);
    expect([...asked.values()].flat()).toEqual([id]);
  });

  it('hands on any other error without asking a second instance', async () => {
    const { client, failing, askedInOrder } = await threeRoutings();
    for (const name of ['r1', 'r2', 'r3']) failing.set(name, new ParleyError('forbidden', 'no'));
    await expect(client.submit(command('c1'))).rejects.toMatchObject({ code: 'forbidden' });
    for (const name of ['r1', 'r2', 'r3']) failing.set(name, new Error('a bug'));
    await expect(client.submit(command('c1'))).rejects.toThrow('a bug');
    expect(askedInOrder()).toHaveLength(1);
  });

  it('is unavailable when all are, after three at most', async () => {
    const { client, failing, asked } = await threeRoutings();
    for (const name of ['r1', 'r2', 'r3']) failing.set(name, new ParleyError('unavailable', name));
    await expect(client.submit(command('c1'))).rejects.toMatchObject({ code: 'unavailable' });
    expect([...asked.values()].flat()).toHaveLength(3);
  });

  it('is unavailable when no instance is known', async () => {
    const { client, leases } = await threeRoutings();
    for (const lease of leases.values()) await lease.revoke();
    await expect(client.submit(command('c1'))).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('leaves out instances that drain, unless there are no others', async () => {
    const { client, leases, asked } = await threeRoutings();
    const ids = Array.from({ length: 20 }, (_, index) => `c${index}`);
    await leases.get('r1')?.update({ state: 'draining' });
    await leases.get('r2')?.update({ state: 'draining' });
    for (const id of ids) await client.submit(command(id));
    expect(asked.get('r3')).toEqual(ids);
    await leases.get('r3')?.update({ state: 'draining' });
    for (const id of ids) await client.submit(command(id));
    expect([...asked.values()].flat()).toHaveLength(40);
  });

  it('moves only the conversations of an instance that left', async () => {
    const { client, leases, asked } = await threeRoutings();
    const ids = Array.from({ length: 60 }, (_, index) => `c${index}`);
    for (const id of ids) await client.submit(command(id));
    const before = new Map([...asked].map(([name, seen]) => [name, new Set(seen)]));
    await leases.get('r1')?.revoke();
    for (const seen of asked.values()) seen.length = 0;
    for (const id of ids) await client.submit(command(id));
    expect(asked.get('r1')).toEqual([]);
    for (const name of ['r2', 'r3']) for (const id of before.get(name) ?? []) expect(asked.get(name)).toContain(id);
  });
});

describe('the presence client', () => {
  it('keeps a chat server to one instance', async () => {
    const discovery = await openDiscovery({ adapter: 'in-process' });
    const links = new InProcessLinks();
    const beats: string[] = [];
    for (const name of ['p1', 'p2']) {
      const presence: PresenceLink = { beat: async () => void beats.push(name), get: async () => [] };
      links.serve('presence', name, presence);
      await discovery.register({
        service: 'presence',
        instanceId: name as InstanceId,
        address: name,
        region: 'local',
        version: '1',
        state: 'ready',
      });
    }
    const client = presenceClient(await discovery.watch('presence'), links);
    for (let beat = 0; beat < 5; beat += 1) await client.beat('chat-1' as InstanceId, 1, []);
    expect(new Set(beats).size).toBe(1);
    expect(await client.get(DEFAULT_WORKSPACE, [])).toEqual([]);
  });
});

describe('the delivery client', () => {
  async function given(expected: Readonly<Record<string, readonly string[]>> = {}) {
    const discovery = await openDiscovery({ adapter: 'in-process' });
    const links = new InProcessLinks();
    const delivered = new Map<string, MessagesRecord[]>();
    for (const name of ['d1', 'd2']) {
      delivered.set(name, []);
      links.serve('delivery', name, {
        deliver: async (records) => void delivered.get(name)?.push(...records),
        expects: async (ids) => new Map(ids.filter((id) => expected[name]?.includes(id)).map((id) => [id, seq(5)])),
      });
      await discovery.register({
        service: 'delivery',
        instanceId: name as InstanceId,
        address: name,
        region: 'local',
        version: '1',
        state: 'ready',
      });
    }
    return { watch: await discovery.watch('delivery'), links, delivered };
  }
  const records = Array.from({ length: 20 }, (_, index) => ({
    ...recordOf(entryAt(index + 1)),
    conversationId: `c${index % 5}` as ConversationId,
  }));
  const byConversation = (some: readonly MessagesRecord[]) => Map.groupBy(some, ({ conversationId }) => conversationId);

  it("keeps each conversation's records to one instance, in their order", async () => {
    const { watch, links, delivered } = await given();
    await deliveryClient(watch, links).deliver(records);
    for (const [name, own] of delivered) {
      const expected = records.filter(
        ({ conversationId }) => rank(conversationId, watch.instances())[0]?.address === name,
      );
      expect(byConversation(own)).toEqual(byConversation(expected));
    }
  });

  it('gives them to the instance that delivered the conversation last, and to another when that is gone', async () => {
    const ids = ['c0', 'c1', 'c2', 'c3', 'c4'];
    const { watch, links, delivered } = await given({ d2: ids });
    const client = deliveryClient(watch, links);
    await client.deliver(records);
    expect([delivered.get('d1')?.length, delivered.get('d2')?.length]).toEqual([0, 20]);
    await links.close();
    links.serve('delivery', 'd1', {
      deliver: async (more) => void delivered.get('d1')?.push(...more),
      expects: async () => new Map(),
    });
    await client.deliver(records);
    expect(delivered.get('d1')?.length).toBe(20);
  });
});

describe('links within a process', () => {
  const routing: RoutingLink = { submit: async () => DONE };

  it('reach what is served at an address, by kind, until it is closed', () => {
    const links = new InProcessLinks();
    const served = links.serve('routing', 'a', routing);
    expect(links.connect('routing', 'a')).toBe(routing);
    expect(() => links.connect('presence', 'a')).toThrow(expect.objectContaining({ code: 'unavailable' }));
    expect(() => links.connect('routing', 'b')).toThrow(expect.objectContaining({ code: 'unavailable' }));
    served.close();
    expect(() => links.connect('routing', 'a')).toThrow(expect.objectContaining({ code: 'unavailable' }));
  });

  it('are served once at an address', () => {
    const links = new InProcessLinks();
    links.serve('routing', 'a', routing);
    expect(() => links.serve('routing', 'a', routing)).toThrow('routing is already served at a');
  });
});
