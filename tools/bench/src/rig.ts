import {
  Account,
  assign,
  freePort,
  mapBounded,
  type ProcessStats,
  processStats,
  RawSession,
  RestClient,
  ServerProcess,
  untilAnswered,
} from '@parley/load';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ALL_CORES, pinThisProcess, SERVER_CORE } from './cores.js';
import type { Scale } from './scale.js';
import { Traffic } from './traffic.js';

const CONNECT_AT_ONCE = 48;
const REGISTER_AT_ONCE = 16;
const SAMPLE = 64;
const MEMBERS_PER_CALL = 1_000;

/** The server under test, its accounts, and the sessions of whichever row is being measured. */
export class Rig {
  readonly entry: string;
  /** Where the server's own output goes. */
  readonly output: 'inherit' | 'ignore';
  readonly scale: Scale;
  readonly print: (line: string) => void;
  readonly dataDir = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  readonly traffic = new Traffic();
  readonly #password = randomBytes(12).toString('hex');
  #port = 0;
  #server: ServerProcess | undefined;
  #rest: RestClient | undefined;
  #accounts: Account[] = [];
  /** Sessions that the server ended while they should have been open. */
  dropped = 0;

  constructor(entry: string, output: 'inherit' | 'ignore', scale: Scale, print: (line: string) => void) {
    this.entry = entry;
    this.output = output;
    this.scale = scale;
    this.print = print;
    process.once('exit', () => rmSync(this.dataDir, { recursive: true, force: true }));
  }

  get server(): ServerProcess {
    if (this.#server === undefined) throw new Error('the server is not running');
    return this.#server;
  }

  get rest(): RestClient {
    if (this.#rest === undefined) throw new Error('the server is not running');
    return this.#rest;
  }

  get accounts(): readonly Account[] {
    return this.#accounts;
  }

  /** Makes the accounts on a server that has both cores, then starts it again on its own. */
  async prepare(): Promise<void> {
    await this.#start(ALL_CORES);
    const { accounts: wanted, accountsMin, registerMs } = this.scale;
    const startMs = performance.now();
    await this.#register(SAMPLE);
    const eachMs = (performance.now() - startMs) / SAMPLE;
    const affordable = Math.floor(registerMs / eachMs);
    const count = Math.min(wanted, Math.max(accountsMin, affordable));
    this.print(
      `${eachMs.toFixed(1)} ms for an account (its password is hashed): registering ${count} of ${wanted} wanted`,
    );
    await this.#register(count - SAMPLE);
    await this.restart();
  }

  /** A fresh process on the same data, pinned. */
  async restart(): Promise<void> {
    await this.#server?.stop();
    await this.#start(SERVER_CORE);
  }

  stats(): Promise<ProcessStats> {
    return processStats(this.server.pid);
  }

  /** Opens sessions over the accounts in turn: with fewer accounts than sessions, each has several devices. */
  async open(count: number, accounts = this.#accounts): Promise<readonly RawSession[]> {
    const wanted = Array.from({ length: count }, (_none, index) => index);
    return mapBounded(wanted, CONNECT_AT_ONCE, async (index) => {
      const account = accounts[index % accounts.length];
      if (account === undefined) throw new RangeError('no accounts');
      const device = `bench-${Math.floor(index / accounts.length)}`;
      const address = await untilAnswered(() => assign(account, device));
      return RawSession.open(address, {
        onEvent: this.traffic.onEvent,
        onClose: (why) => {
          if (why !== 'closed by the client') this.dropped += 1;
        },
      });
    });
  }

  /** A channel of these accounts, the first of which owns it. */
  async channel(accounts: readonly Account[], name: string): Promise<string> {
    const [owner, ...others] = accounts;
    if (owner === undefined) throw new RangeError('a channel of nobody');
    const userIds = others.map(({ user }) => user.id);
    const first = userIds.slice(0, MEMBERS_PER_CALL);
    const { id } = await untilAnswered(() =>
      owner.call('createConversation', { body: { type: 'channel', name, memberIds: first } }),
    );
    for (let at = MEMBERS_PER_CALL; at < userIds.length; at += MEMBERS_PER_CALL) {
      const body = { userIds: userIds.slice(at, at + MEMBERS_PER_CALL) };
      await untilAnswered(() => owner.call('addMembers', { params: { conversationId: id }, body }));
    }
    return id;
  }

  async close(): Promise<void> {
    this.#rest?.close();
    await this.#server?.stop();
  }

  async #start(cores: string): Promise<void> {
    if (this.#port === 0) this.#port = await freePort();
    this.#server = await ServerProcess.start({
      entry: this.entry,
      dataDir: this.dataDir,
      port: this.#port,
      output: this.output,
      ...(pinThisProcess() ? { cores } : {}),
    });
    this.#rest ??= new RestClient(this.#server.url, { connectionsMax: CONNECT_AT_ONCE });
  }

  async #register(count: number): Promise<void> {
    const from = this.#accounts.length;
    const wanted = Array.from({ length: Math.max(0, count) }, (_none, index) => `bench-${from + index}`);
    const made = await mapBounded(wanted, REGISTER_AT_ONCE, (username) =>
      Account.register(this.rest, { username, password: this.#password }),
    );
    this.#accounts.push(...made);
  }
}

/** Ends sessions and waits until the event loop has let go of them. */
export function closeAll(sessions: readonly RawSession[]): void {
  for (const session of sessions) session.close();
}
