import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { seq, type UserId } from '@parley/contracts';

import { apply, freshUserId, freshWorkspace, memberEntry, newConversation } from './conformance-builders.js';
import type { Directory } from './directory.js';
import { migrateDirectory, openDirectory } from './index.js';
import { type MysqlDirectoryConfig, mysqlTarget } from './mysql-config.js';
import { type TestDatabase, testDatabase } from './mysql-fixture.js';

/** Stands between the directory and the server, and can fall silent as a stopped process does: open, but no answers. */
class Relay {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #to: MysqlDirectoryConfig;
  #silent = false;
  /** Connections that were ever made. */
  accepted = 0;

  constructor(to: MysqlDirectoryConfig) {
    this.#to = to;
    this.#server = createServer((near) => this.#accept(near));
  }

  async listen(port = 0): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get open(): number {
    return this.#pairs.size;
  }

  #accept(near: Socket): void {
    const { host, port } = mysqlTarget(this.#to);
    const far = connect({ host, port, noDelay: true });
    near.setNoDelay(true);
    const pair = [near, far] as const;
    this.accepted += 1;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('data', (bytes) => to.write(bytes));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      if (this.#silent) from.pause();
    }
  }

  fallSilent(): void {
    this.#silent = true;
    for (const sockets of this.#pairs) for (const socket of sockets) socket.pause();
  }

  /** To new connections; those that were silent stay so, as through a network that has forgotten them. */
  speak(): void {
    this.#silent = false;
  }

  cut(): void {
    for (const sockets of this.#pairs) for (const socket of sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, 'close');
  }
}

describe('a MySQL that goes away', () => {
  let database: TestDatabase;
  let relay: Relay;
  let directory: Directory;
  const conversation = newConversation(freshWorkspace(), 'group', [freshUserId()]);
  const { id } = conversation;
  const [ann] = conversation.members.map((member) => member.userId) as [UserId];
  beforeAll(async () => {
    database = await testDatabase();
    await migrateDirectory(database.config);
  });
  afterAll(() => database.drop());

  const through = (port: number, change: Partial<MysqlDirectoryConfig> = {}) => {
    const url = new URL(database.config.url);
    url.hostname = '127.0.0.1';
    url.port = String(port);
    return { ...database.config, url: url.href, connections: 3, ...change };
  };
  beforeEach(async () => {
    relay = new Relay(database.config);
    await relay.listen();
    directory = await openDirectory(through(relay.port));
  });
  afterEach(async () => {
    await directory.close();
    await relay.close();
  });

  const timed = async (call: Promise<unknown>): Promise<{ code: unknown; tookMs: number }> => {
    const startedAt = performance.now();
    try {
      await call;
      return { code: 'none', tookMs: performance.now() - startedAt };
    } catch (error) {
      return { code: (error as { code?: unknown }).code, tookMs: performance.now() - startedAt };
    }
  };

  it('is `unavailable` within 3 s when it is silent, for whoever waits too, and recovers by itself', async () => {
    await directory.createConversation(conversation);
    // All connections there may be are open, so that none is being made when it falls silent.
    await Promise.all(Array.from({ length: 20 }, () => directory.conversation(id)));
    const before = relay.accepted;
    expect(before).toBe(3);
    relay.fallSilent();
    const calls = [
      ...Array.from({ length: 20 }, () => directory.conversation(id)),
      directory.mark(ann, id, { kind: 'read', seq: seq(5), at: '2026' }),
      apply(directory, id, 0, [memberEntry(id, 1, 'added', [freshUserId()])]),
    ];
    for (const { code, tookMs } of await Promise.all(calls.map(timed))) {
      expect(code).toBe('unavailable');
      expect(tookMs).toBeLessThan(3_000);
    }
    relay.speak();
    // Each answer belongs to its question: nothing of the silent connections is used again.
    const answers = await Promise.all([directory.conversation(id), directory.membershipOf(ann, id)]);
    expect(answers[0]?.id).toBe(id);
    expect(answers[1]?.conversation.id).toBe(id);
    expect(relay.accepted).toBeGreaterThan(before);
    expect((await apply(directory, id, 0, [memberEntry(id, 1, 'added', [freshUserId()])]))?.appliedSeq).toBe(1);
  });

  it('is asked again for a read whose connection was cut', async () => {
    await directory.users(conversation.workspaceId, [ann]);
    relay.cut();
    await expect(directory.users(conversation.workspaceId, [ann])).resolves.toEqual(new Map());
  });

  it('is `unavailable` at once when it refuses connections, and recovers by itself', async () => {
    const { port } = relay;
    await relay.close();
    const { code, tookMs } = await timed(directory.conversation(id));
    expect(code).toBe('unavailable');
    expect(tookMs).toBeLessThan(1_000);
    relay = new Relay(database.config);
    await relay.listen(port);
    expect((await directory.conversation(id))?.id).toBe(id);
  });

  it('has at most as many connections as it may, and closes them when the directory is closed', async () => {
    await Promise.all(Array.from({ length: 50 }, () => directory.conversation(id)));
    expect(relay.accepted).toBe(3);
    await directory.close();
    expect(relay.open).toBe(0);
  });

  it('is spared what waits beyond the bound', async () => {
    const small = await openDirectory(through(relay.port, { connections: 1, maxWaiting: 5 }));
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => timed(small.conversation(id))));
    const codes = new Set(outcomes.map(({ code }) => code));
    expect(codes).toEqual(new Set(['none', 'overloaded']));
    expect(outcomes.filter(({ code }) => code === 'none')).toHaveLength(6);
    await small.close();
  });

  it('is waited for when the directory is opened, but not for ever', async () => {
    const { port } = relay;
    await relay.close();
    await expect(openDirectory(through(port, { connectTimeoutMs: 300 }))).rejects.toThrow(
      new RegExp(`MySQL at 127.0.0.1:${port}/parley_test_\\w+ cannot be reached`),
    );
    const opening = openDirectory(through(port));
    relay = new Relay(database.config);
    await relay.listen(port);
    await (await opening).close();
  });

  it('is not waited for with the wrong password', async () => {
    const startedAt = performance.now();
    const opening = openDirectory(through(relay.port, { password: 'wrong', connectTimeoutMs: 30_000 }));
    await expect(opening).rejects.toThrow(/MySQL at 127.0.0.1:\d+\/\w+: Access denied/);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});
