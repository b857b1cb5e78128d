import { type AddressInfo, createServer, type Socket } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type ChatServerLink,
  type CommandOutcome,
  type MessagesRecord,
  type RoutingLink,
  seq,
} from '@parley/contracts';

import { LinkDown } from '../links.js';
import { ann, commandOf, entryAt, linksConformance, pushTo, recordOf } from '../links-conformance.js';
import { grpcPair, type GrpcPair, Logged, openGrpc, type PartialConfig } from './grpc-fixture.js';
import { grpcSettings } from './config.js';
import type { GrpcLinks } from './grpc-links.js';
import { Peers } from './peers.js';
import { Relay } from './relay-fixture.js';

linksConformance('grpc', () => grpcPair());

const UNCHANGED: CommandOutcome = { kind: 'unchanged', seq: seq(1) };
const join = commandOf({ kind: 'join' });
const answering: RoutingLink = { submit: async () => UNCHANGED };

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function pairOf(callee: PartialConfig = {}, caller: PartialConfig = {}): Promise<GrpcPair> {
  const pair = await grpcPair(callee, caller);
  opened.push(pair);
  return pair;
}

async function links(config: PartialConfig = {}): Promise<GrpcLinks> {
  const own = await openGrpc(config);
  opened.push(own);
  return own;
}

async function relayTo(address: string): Promise<Relay> {
  const relay = await Relay.before(address);
  opened.push(relay);
  return relay;
}

/** A service whose calls are answered when the test says so. */
function held() {
  const waiting: (() => void)[] = [];
  let atLeast = 0;
  let arrived = (): void => undefined;
  const service: RoutingLink = {
    submit: () =>
      new Promise((resolve) => {
        waiting.push(() => resolve(UNCHANGED));
        if (waiting.length >= atLeast) arrived();
      }),
  };
  return {
    service,
    waiting,
    until(count: number): Promise<void> {
      return new Promise((resolve) => {
        atLeast = count;
        arrived = resolve;
        if (waiting.length >= count) resolve();
      });
    },
    answerAll: () => waiting.splice(0).forEach((answer) => answer()),
  };
}

/** How a call ended, and how long that took. */
async function timed(call: Promise<unknown>): Promise<{ readonly error: unknown; readonly ms: number }> {
  const startedMs = performance.now();
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return { error, ms: performance.now() - startedMs };
}

describe('calls on a gRPC stream', () => {
  it('leave in one message when they are made in one turn', async () => {
    const { caller, callee } = await pairOf();
    callee.serve('routing', callee.address, answering);
    const link = caller.connect('routing', callee.address);
    await link.submit(join);
    await Promise.all(Array.from({ length: 1_000 }, () => link.submit(join)));
    expect(caller.counts('routing')).toEqual({ calls: 1_001, messages: 2 });
  });

  it('are split over messages by their size', async () => {
    const { caller, callee } = await pairOf({}, { bounds: { batchMaxBytes: 1_000 } });
    callee.serve('routing', callee.address, answering);
    const link = caller.connect('routing', callee.address);
    const long = commandOf({ kind: 'message', clientId: 'a', content: { type: 'text', text: 'x'.repeat(600) } });
    await Promise.all(Array.from({ length: 10 }, () => link.submit(long)));
    expect(caller.counts('routing').messages).toBe(10);
  });

  it('reject at once when too many are under way', async () => {
    const { caller, callee } = await pairOf({}, { bounds: { callsMax: 3 } });
    const { service, until, answerAll } = held();
    callee.serve('routing', callee.address, service);
    const link = caller.connect('routing', callee.address);
    const first = [link.submit(join), link.submit(join), link.submit(join)];
    await expect(link.submit(join)).rejects.toMatchObject({ code: 'overloaded' });
    await until(3);
    answerAll();
    await Promise.all(first);
    const again = link.submit(join);
    await until(1);
    answerAll();
    expect(await again).toEqual(UNCHANGED);
  });

  it('reject at once when too many bytes wait, or one is too large by itself', async () => {
    const { caller, callee } = await pairOf({}, { bounds: { waitingMaxBytes: 4_000, messageMaxBytes: 3_000 } });
    callee.serve('routing', callee.address, answering);
    const link = caller.connect('routing', callee.address);
    const of = (length: number) =>
      commandOf({ kind: 'message', clientId: 'a', content: { type: 'text', text: 'x'.repeat(length) } });
    const [first, second, third] = await Promise.allSettled(
      [of(2_500), of(2_500), of(3_500)].map((c) => link.submit(c)),
    );
    expect(first).toMatchObject({ status: 'fulfilled' });
    expect(second).toMatchObject({ reason: { code: 'overloaded' } });
    expect(third).toMatchObject({ reason: { code: 'too_large' } });
  });

  it('wait at their caller while the service has enough to do', async () => {
    const { caller, callee } = await pairOf({ bounds: { runningMax: 8 } }, { bounds: { batchMaxBytes: 1 } });
    const { service, waiting, until, answerAll } = held();
    callee.serve('routing', callee.address, service);
    const link = caller.connect('routing', callee.address);
    const calls = Array.from({ length: 200 }, () => link.submit(join));
    let most = 0;
    for (let answered = 0; answered < calls.length;) {
      await until(Math.min(8, calls.length - answered));
      most = Math.max(most, waiting.length);
      answered += waiting.length;
      answerAll();
    }
    await Promise.all(calls);
    // A stream that is paused still gives what it has read already, up to its own buffer of 16 messages.
    expect(most).toBeLessThanOrEqual(8 + 16 + 1);
  });

  it('do not tell what went wrong in the service, but log it there', async () => {
    const log = new Logged();
    const { caller, callee } = await pairOf({ log });
    callee.serve('routing', callee.address, {
      async submit() {
        throw new Error('SELECT secret');
      },
    });
    const refused = caller.connect('routing', callee.address).submit(join);
    await expect(refused).rejects.toMatchObject({ refusal: { code: 'internal', message: 'The request failed' } });
    expect(log.lines).toMatchObject([{ fields: { err: { message: 'SELECT secret' } } }]);
  });

  it('are made of parts where pushes or records are larger than a message may be', async () => {
    const { caller, callee } = await pairOf();
    const sizes: number[] = [];
    const chat: ChatServerLink = {
      async push(pushes) {
        sizes.push(pushes.length);
        return pushes.map(({ userIds }) => userIds);
      },
      pushRooms: async () => undefined,
    };
    const delivered: MessagesRecord[] = [];
    callee.serve('chat', callee.address, chat);
    callee.serve('delivery', callee.address, {
      deliver: async (records) => void delivered.push(...records),
      expects: async () => new Map(),
    });
    const pushes = Array.from({ length: 10 }, () => pushTo([ann], JSON.stringify('x'.repeat(900_000))));
    expect(await caller.connect('chat', callee.address).push(pushes)).toEqual(pushes.map(() => [ann]));
    expect(sizes).toHaveLength(10);
    const entries = Array.from({ length: 12 }, (_, index) => entryAt(index + 1, 'y'.repeat(600_000)));
    await caller.connect('delivery', callee.address).deliver([recordOf(...entries)]);
    expect(delivered.length).toBeGreaterThan(5);
    expect(delivered.flatMap((record) => record.entries.map(({ entry }) => entry))).toEqual(entries);
  });
});

describe('a peer that is away', () => {
  it('fails what is under way when the connection breaks, as sent, and answers again when it is back', async () => {
    const callee = await links();
    const caller = await links();
    const { service, until, answerAll } = held();
    callee.serve('routing', callee.address, service);
    const relay = await relayTo(callee.address);
    const link = caller.connect('routing', relay.address);
    const broken = timed(link.submit(join));
    await until(1);
    relay.cut();
    expect((await broken).error).toMatchObject({ code: 'unavailable', sent: true });
    answerAll();
    const again = link.submit(join);
    await until(1);
    answerAll();
    expect(await again).toEqual(UNCHANGED);
  });

  it('fails a call at its deadline when the service never answers', async () => {
    const { caller, callee } = await pairOf({}, { deadlines: { submitMs: 80, unaryMs: 80 } });
    callee.serve('routing', callee.address, { submit: () => new Promise(() => undefined) });
    callee.serve('presence', callee.address, {
      beat: () => new Promise(() => undefined),
      get: () => new Promise(() => undefined),
    });
    const submitted = await timed(caller.connect('routing', callee.address).submit(join));
    expect(submitted.error).toMatchObject({ code: 'unavailable', sent: true });
    expect(submitted.ms).toBeGreaterThan(75);
    const asked = await timed(caller.connect('presence', callee.address).get(join.actor.workspaceId, [ann]));
    expect(asked.error).toMatchObject({ code: 'unavailable', sent: true });
  });

  it('is noticed when it falls silent: calls fail by keepalive, later ones sooner, and it recovers', async () => {
    const callee = await links();
    const caller = await links({ keepAliveMs: 300, keepAliveTimeoutMs: 300, deadlines: { connectMs: 500 } });
    callee.serve('routing', callee.address, answering);
    const relay = await relayTo(callee.address);
    const link = caller.connect('routing', relay.address);
    await link.submit(join);
    relay.fallSilent();
    const first = await timed(link.submit(join));
    expect(first.error).toBeInstanceOf(LinkDown);
    expect(first.ms).toBeLessThan(4_000);
    expect((await timed(link.submit(join))).error).toMatchObject({ sent: false });
    const later = await timed(link.submit(join));
    expect(later.error).toMatchObject({ sent: false });
    expect(later.ms).toBeLessThan(400);
    relay.speak();
    while ((await timed(link.submit(join))).error !== null) await new Promise(setImmediate);
  });

  it('fails calls after the time for connecting when it takes connections and says nothing, then at once', async () => {
    const taken = new Set<Socket>();
    const mute = createServer((socket) => void taken.add(socket));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(mute.address() as AddressInfo).port}`;
    const closed = new Promise<void>((resolve) => mute.once('close', resolve));
    opened.push({
      close() {
        mute.close();
        for (const socket of taken) socket.destroy();
        return closed;
      },
    });
    const caller = await links({ deadlines: { connectMs: 100 } });
    for (const call of [
      () => caller.connect('routing', address).submit(join),
      () => caller.connect('presence', address).get(join.actor.workspaceId, [ann]),
    ]) {
      expect((await timed(call())).error).toMatchObject({ code: 'unavailable', sent: false });
    }
    expect((await timed(caller.connect('routing', address).submit(join))).ms).toBeLessThan(50);
  });

  it('is told apart from one that does not offer the service', async () => {
    const { caller, callee } = await pairOf();
    const link = caller.connect('routing', callee.address);
    await expect(link.submit(join)).rejects.toMatchObject({ code: 'unavailable', sent: false });
    await expect(caller.connect('presence', callee.address).get(join.actor.workspaceId, [])).rejects.toMatchObject({
      code: 'unavailable',
      sent: false,
    });
  });
});

describe('a server that sends its connections away', () => {
  it('does so by age without a call failing', async () => {
    const callee = await links({ maxConnectionAgeMs: 1_000 });
    const caller = await links();
    const relay = await relayTo(callee.address);
    callee.serve('routing', callee.address, answering);
    callee.serve('presence', callee.address, { beat: async () => undefined, get: async () => [] });
    const routing = caller.connect('routing', relay.address);
    const presence = caller.connect('presence', relay.address);
    let calls = 0;
    while (relay.connections < 4) {
      const some = Array.from({ length: 20 }, () => routing.submit(join));
      await Promise.all([...some, presence.get(join.actor.workspaceId, [])]);
      calls += some.length;
      // Whatever timers are due.
      await new Promise(setImmediate);
    }
    expect(calls).toBeGreaterThan(100);
  });

  it('finishes what runs when it stops, and takes nothing new', async () => {
    const { caller, callee } = await pairOf();
    const { service, until, answerAll } = held();
    callee.serve('routing', callee.address, service);
    const link = caller.connect('routing', callee.address);
    const running = link.submit(join);
    await until(1);
    const closed = callee.close();
    // In order on one stream: once this has failed, the request to move has arrived.
    await timed(caller.connect('presence', callee.address).get(join.actor.workspaceId, []));
    answerAll();
    expect(await running).toEqual(UNCHANGED);
    await closed;
    await expect(link.submit(join)).rejects.toMatchObject({ code: 'unavailable', sent: false });
  });

  it('cuts off what does not finish in time', async () => {
    const { caller, callee } = await pairOf({ closeMs: 50 });
    const { service, until } = held();
    callee.serve('routing', callee.address, service);
    const running = timed(caller.connect('routing', callee.address).submit(join));
    await until(1);
    await callee.close();
    expect((await running).error).toMatchObject({ code: 'unavailable', sent: true });
  });
});

describe('connections', () => {
  it('are one to an address; at the bound the one that was used longest ago goes, and comes back when it is needed', async () => {
    const caller = await links({ bounds: { peersMax: 2 } });
    const callees = await Promise.all([links(), links(), links()]);
    for (const callee of callees) callee.serve('routing', callee.address, answering);
    for (const { address } of [...callees, ...callees]) {
      expect(await caller.connect('routing', address).submit(join)).toEqual(UNCHANGED);
      expect(caller.connections).toBeLessThanOrEqual(2);
    }
  });

  it('are closed when nobody used them for a while', () => {
    const peers = new Peers(
      grpcSettings({ listen: { host: '127.0.0.1', port: 0 }, log: new Logged(), bounds: { peerIdleMs: 1_000 } }),
    );
    const { usedMs } = peers.at('127.0.0.1:1');
    peers.closeIdle(usedMs + 999);
    expect(peers.size).toBe(1);
    peers.closeIdle(usedMs + 1_001);
    expect(peers.size).toBe(0);
    peers.close();
    expect(() => peers.at('127.0.0.1:1')).toThrow('closed');
  });

  it('serve at their own address only', async () => {
    const callee = await links({ advertiseHost: 'routing-1.internal' });
    expect(callee.address).toMatch(/^routing-1\.internal:\d+$/);
    expect(callee.doorAddress).toBe('');
    expect(() => callee.serve('routing', '127.0.0.1:1', answering)).toThrow('cannot be served at 127.0.0.1:1');
    expect(() => callee.serve('chatDoor', 'x:1', {} as never)).toThrow('without a door');
  });

  it('cannot be listened for where someone listens already', async () => {
    const taken = await links();
    const port = Number(taken.address.split(':')[1]);
    await expect(openGrpc({ listen: { host: '127.0.0.1', port } })).rejects.toThrow(
      `cannot listen at 127.0.0.1:${port}`,
    );
  });
});
