import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DEFAULT_WORKSPACE, type DeviceId, ParleyError, type SessionId } from '@parley/contracts';
import { type Lease, type LeaseLoss, openDiscovery, type ServiceDiscovery } from '@parley/discovery';
import { openEventBus } from '@parley/event-bus';
import { openFrameBus } from '@parley/frame-bus';
import { openRateLimiter } from '@parley/rate-limiter';
import { openSessionRegistry, type SessionRegistry } from '@parley/session-registry';
import { newTicketKey, TicketIssuer, TicketVerifier } from '@parley/tickets';

import { ANN, configOf, Membership, SERVER, testContext, turn } from './chat-fixture.js';
import { ChatService } from './chat.service.js';

/** A discovery whose leases can be ended, and which can be away. */
class FragileDiscovery implements ServiceDiscovery {
  away = false;
  registered = 0;
  #lose: ((loss: LeaseLoss) => void) | undefined;

  constructor(private readonly inner: ServiceDiscovery) {}

  async register(...info: Parameters<ServiceDiscovery['register']>): Promise<Lease> {
    if (this.away) throw new ParleyError('unavailable', 'away');
    const lease = await this.inner.register(...info);
    this.registered += 1;
    const { promise: lost, resolve } = Promise.withResolvers<LeaseLoss>();
    this.#lose = resolve;
    return {
      epoch: lease.epoch,
      lost,
      update: async (change) => {
        if (this.away) throw new ParleyError('unavailable', 'away');
        await lease.update(change);
      },
      revoke: () => lease.revoke(),
    };
  }

  watch(...args: Parameters<ServiceDiscovery['watch']>) {
    return this.inner.watch(...args);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  lose(loss: LeaseLoss): void {
    this.#lose?.(loss);
  }
}

describe('a chat server and its lease', () => {
  let chat: ChatService;
  let context: ReturnType<typeof testContext>;
  let discovery: FragileDiscovery;
  let sessions: SessionRegistry;
  let issuer: TicketIssuer;
  let ended: string[];
  let url: string;
  let stop: () => Promise<void>;

  beforeEach(async () => {
    context = testContext();
    const nowMs = (): number => context.clock.now();
    const key = newTicketKey();
    issuer = new TicketIssuer({ key, nowMs });
    discovery = new FragileDiscovery(await openDiscovery({ adapter: 'in-process' }));
    sessions = await openSessionRegistry({ adapter: 'in-process', ttlMs: 600_000, nowMs });
    ended = [];
    const unused = (): never => {
      throw new Error('Nobody asks for this here');
    };
    chat = new ChatService(
      {
        serverId: SERVER,
        address: 'here:1',
        doorAddress: 'here:2',
        region: 'here',
        version: '1',
        end: (reason) => ended.push(reason),
        routing: { submit: unused },
        directory: { ...new Membership([ANN]).link, channelsOf: async () => [] },
        presence: { beat: async () => undefined, get: async () => [] },
        discovery,
        sessions,
        frames: await openFrameBus({ adapter: 'in-process' }),
        bus: await openEventBus({ adapter: 'in-process', onDeadLetter: unused }),
        limiter: await openRateLimiter({ adapter: 'in-process', nowMs }),
        tickets: new TicketVerifier({ key, serverId: SERVER, nowMs }),
        ticketIssuer: issuer,
        context,
      },
      configOf(),
    );
    await chat.start();
    const server = createServer((request, response) => chat.request(request, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    stop = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await discovery.close();
    };
  });
  afterEach(() => stop());

  const connect = (): Promise<Response> => {
    const { ticket } = issuer.issue({
      sessionId: 's1' as SessionId,
      userId: ANN,
      workspaceId: DEFAULT_WORKSPACE,
      deviceId: 'phone' as DeviceId,
      serverId: SERVER,
      origin: null,
      familyId: null,
      scopes: null,
      sessionExpiresAtMs: null,
    });
    return fetch(`${url}/v1/events?ticket=${ticket}`);
  };
  const listed = async () => {
    const watch = await discovery.watch('chat');
    watch.close();
    return watch.instances()[0];
  };
  const epochOfSession = async (): Promise<number | undefined> =>
    (await sessions.lookup(DEFAULT_WORKSPACE, [ANN])).get(ANN)?.[0]?.epoch;

  it('says where it is, and how full when that has changed', async () => {
    expect(await listed()).toMatchObject({ address: 'here:1', doorAddress: 'here:2', state: 'ready', connections: 0 });
    await connect();
    context.clock.advance(1_000);
    await turn();
    expect(await listed()).toMatchObject({ connections: 1 });
  });

  it('registers anew, and its sessions with it, when its lease has expired', async () => {
    await connect();
    const before = await epochOfSession();
    discovery.away = true;
    discovery.lose('expired');
    await turn();
    expect(discovery.registered).toBe(1);
    discovery.away = false;
    context.clock.advance(1_000);
    await turn();
    const { epoch } = (await listed()) ?? {};
    expect(discovery.registered).toBe(2);
    expect(epoch).toBeGreaterThan(before ?? 0);
    expect(await epochOfSession()).toBe(epoch);
    expect(ended).toEqual([]);
  });

  it('stops serving when another process is this server now', async () => {
    const events = await connect();
    discovery.lose('taken');
    await events.text();
    expect((await connect()).status).toBe(503);
    expect(ended).toEqual(['another process is this chat server now']);
    expect(discovery.registered).toBe(1);
  });

  it('drains also while the store is away', async () => {
    discovery.away = true;
    const stopping = chat.stop();
    await turn();
    await stopping;
  });
});
