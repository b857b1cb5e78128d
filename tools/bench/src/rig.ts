import { Account, assign, mapBounded, type ProcessStats, RawSession, RestClient, untilAnswered } from '@parley/load';
import { randomBytes } from 'node:crypto';

import { type Deployment, statsOf, total } from './deployment.js';
import type { Scale } from './scale.js';
import { Traffic } from './traffic.js';

const CONNECT_AT_ONCE = 48;
const REGISTER_AT_ONCE = 16;
const SAMPLE = 64;
const MEMBERS_PER_CALL = 1_000;

/** A server under test, its accounts, and the sessions of whichever row is being measured. */
export class Rig {
  readonly deployment: Deployment;
  readonly scale: Scale;
  readonly print: (line: string) => void;
  readonly traffic = new Traffic();
  readonly #password = randomBytes(12).toString('hex');
  /** One for each address; an account keeps to one of them. */
  #rests: readonly RestClient[] = [];
  #accounts: Account[] = [];
  /** Sessions that the server ended while they should have been open. */
  dropped = 0;

  constructor(deployment: Deployment, scale: Scale, print: (line: string) => void) {
    this.deployment = deployment;
    this.scale = scale;
    this.print = print;
  }

  get rest(): RestClient {
    const [first] = this.#rests;
    if (first === undefined) throw new Error('the server is not running');
    return first;
  }

  get accounts(): readonly Account[] {
    return this.#accounts;
  }

  processes(): ReadonlyMap<string, number> {
    return this.deployment.processes();
  }

  /** Makes the accounts on a server that has all cores, then starts it again as it is measured. */
  async prepare(): Promise<void> {
    await this.deployment.prepare();
    this.#rests = this.deployment.urls.map((url) => new RestClient(url, { connectionsMax: CONNECT_AT_ONCE }));
    const { accounts: wanted, accountsMin, registerMs } = this.scale;
    const startMs = performance.now();
    await this.#register(SAMPLE);
    const eachMs = (performance.now() - startMs) / SAMPLE;
    const affordable = Math.floor(registerMs / eachMs);
    const count = Math.min(wanted, Math.max(accountsMin, affordable));
    this.print(
      `  ${eachMs.toFixed(1)} ms for an account (its password is hashed): registering ${count} of ${wanted} wanted`,
    );
    await this.#register(count - SAMPLE);
    await this.restart();
  }

  /** Fresh processes on the same data. */
  restart(): Promise<void> {
    return this.deployment.restart();
  }

  /** What a measurement has to know of the server. */
  watched(): { readonly processes: ReadonlyMap<string, number>; readonly sparing: boolean } {
    return { processes: this.processes(), sparing: this.deployment.name === 'cluster' };
  }

  /** Of each process now. */
  statsOfEach(): Promise<ReadonlyMap<string, ProcessStats>> {
    return statsOf(this.processes());
  }

  async stats(): Promise<ProcessStats> {
    return total(await this.statsOfEach());
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
    for (const rest of this.#rests) rest.close();
    await this.deployment.close();
  }

  async #register(count: number): Promise<void> {
    const from = this.#accounts.length;
    const wanted = Array.from({ length: Math.max(0, count) }, (_none, index) => from + index);
    const made = await mapBounded(wanted, REGISTER_AT_ONCE, (index) => {
      const rest = this.#rests[index % this.#rests.length] ?? this.rest;
      return Account.register(rest, { username: `bench-${index}`, password: this.#password });
    });
    this.#accounts.push(...made);
  }
}

/** Ends sessions and waits until the event loop has let go of them. */
export function closeAll(sessions: readonly RawSession[]): void {
  for (const session of sessions) session.close();
}
