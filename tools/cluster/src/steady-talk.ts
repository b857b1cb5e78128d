import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { LogEntry, parse } from '@parley/contracts';
import { Account, Histogram, mapBounded, openLoop, RestClient, untilAnswered } from '@parley/load';
import { checkHistory, ReplayClient, type Verdict } from '@parley/replay';

const REGISTER_AT_ONCE = 8;
const START_AT_ONCE = 16;
const REREAD_AT_ONCE = 4;
const SETTLE_MS = 20_000;
const POLL_MS = 50;
/** The design's first wait; the longest is shorter, so that a run does not last for it. */
const BACKOFF = { firstMs: 1_000, capMs: 4_000, jitter: 0.5, random: Math.random };

/** What happened since the last look. */
export interface Second {
  readonly sent: number;
  readonly acknowledged: number;
  /** From when a send was due until it was acknowledged, whatever that took. */
  readonly ackP99Ms: number;
  readonly failed: number;
}

export interface TalkReport {
  readonly acknowledged: number;
  /** Attempts beyond the first: after a refusal that asks for it, or a connection that ended. */
  readonly resent: number;
  readonly reconnections: number;
  readonly failures: readonly string[];
  readonly verdicts: readonly Verdict[];
}

interface Conversation {
  readonly id: string;
  readonly owner: Account;
  readonly clients: readonly ReplayClient[];
}

export interface TalkOptions {
  readonly url: string;
  readonly conversations: number;
  readonly members: number;
  readonly ratePerSecond: number;
}

/**
 * People in groups who send at a fixed rate, whatever comes back. The first two of each group are there from the start,
 * and write; the others come later, in waves. Everything is kept, and judged at the end.
 */
export class SteadyTalk {
  readonly #stop = new AbortController();
  readonly #sending: Promise<void>[] = [];
  readonly #failures: string[] = [];
  #talking: Promise<unknown> = Promise.resolve();
  #since = new Histogram();
  #sent = 0;
  #acknowledged = 0;
  #seen = { sent: 0, acknowledged: 0, failed: 0 };

  private constructor(
    private readonly rest: RestClient,
    private readonly conversations: readonly Conversation[],
  ) {}

  /** Makes accounts and groups; nobody is connected yet. */
  static async prepare({ url, conversations, members }: TalkOptions): Promise<SteadyTalk> {
    const rest = new RestClient(url, { connectionsMax: START_AT_ONCE });
    const run = randomBytes(3).toString('hex');
    const password = randomBytes(12).toString('hex');
    const places = Array.from({ length: conversations }, (_none, group) =>
      Array.from({ length: members }, (_other, member) => `talk-${run}-${group}-${member}`),
    );
    const accounts = await mapBounded(places.flat(), REGISTER_AT_ONCE, (username) =>
      Account.register(rest, { username, password }),
    );
    const groups = Array.from({ length: conversations }, (_none, at) =>
      accounts.slice(at * members, (at + 1) * members),
    );
    const made = await mapBounded(groups, START_AT_ONCE, async ([owner, ...others], at): Promise<Conversation> => {
      if (owner === undefined) throw new RangeError('a group of nobody');
      const body = { type: 'group', history: 'joined', name: `talk ${at}`, memberIds: [] };
      const { id } = await untilAnswered(() => owner.call('createConversation', { body }));
      // By an entry, so that the log alone says who is a member.
      const userIds = others.map(({ user }) => user.id);
      await untilAnswered(() => owner.call('addMembers', { params: { conversationId: id }, body: { userIds } }));
      const intern = interning();
      const clients = [owner, ...others].map((account) => clientOf(account, id, intern));
      return { id, owner, clients };
    });
    return new SteadyTalk(rest, made);
  }

  /** Connects those from one place of each group up to another. */
  async connect(from: number, to: number): Promise<void> {
    const clients = this.conversations.flatMap((one) => one.clients.slice(from, to));
    await mapBounded(clients, START_AT_ONCE, (client) => client.start());
  }

  talk(ratePerSecond: number): void {
    this.#talking = openLoop({
      ratePerSecond,
      durationMs: 3_600_000,
      signal: this.#stop.signal,
      sparing: true,
      fire: (index, dueMs) => this.#send(index, dueMs),
    });
  }

  second(): Second {
    const before = this.#seen;
    this.#seen = { sent: this.#sent, acknowledged: this.#acknowledged, failed: this.#failures.length };
    const ackP99Ms = this.#since.quantile(0.99);
    this.#since = new Histogram();
    return {
      sent: this.#seen.sent - before.sent,
      acknowledged: this.#seen.acknowledged - before.acknowledged,
      failed: this.#seen.failed - before.failed,
      ackP99Ms,
    };
  }

  /** Ends the talk, waits for what is under way, lets everybody catch up, and judges. */
  async finish(): Promise<TalkReport> {
    this.#stop.abort();
    await this.#talking;
    await Promise.all(this.#sending);
    const clients = this.conversations.flatMap((one) => one.clients);
    const verdicts = await mapBounded(this.conversations, REREAD_AT_ONCE, (one) => this.#judge(one));
    return {
      acknowledged: this.#acknowledged,
      resent: clients.reduce((sum, { resent }) => sum + resent, 0),
      reconnections: clients.reduce((sum, { reconnections }) => sum + reconnections, 0),
      failures: [...this.#failures, ...clients.flatMap(({ failures }) => failures)],
      verdicts,
    };
  }

  close(): void {
    this.#stop.abort();
    for (const { clients } of this.conversations) for (const client of clients) client.stop();
    this.rest.close();
  }

  #send(index: number, dueMs: number): void {
    const conversation = this.conversations[index % this.conversations.length];
    const client = conversation?.clients[Math.floor(index / this.conversations.length) % 2];
    if (client === undefined) throw new RangeError('nobody talks');
    this.#sent += 1;
    this.#sending.push(
      client.send(`m-${index}`, `${index}`).then(
        () => {
          this.#acknowledged += 1;
          this.#since.record(performance.now() - dueMs);
        },
        (error: unknown) => void this.#failures.push(`m-${index}: ${String(error)}`),
      ),
    );
  }

  async #judge({ id, owner, clients }: Conversation): Promise<Verdict> {
    const { head } = await untilAnswered(() => owner.call('conversation', { params: { conversationId: id } }));
    // What is on its way live may arrive before the rest is fetched.
    const deadlineMs = performance.now() + SETTLE_MS;
    while (performance.now() < deadlineMs && clients.some(({ cursor }) => cursor < head)) await sleep(POLL_MS);
    await Promise.all(clients.map((client) => client.catchUp()));
    const log = (await clients[0]?.reread()) ?? [];
    const histories = await Promise.all(clients.map(async (client) => client.history(await client.reread())));
    return checkHistory({ log, ownerId: owner.user.id, clients: histories });
  }
}

function clientOf(account: Account, conversationId: string, intern: (payload: unknown) => LogEntry): ReplayClient {
  const name = account.user.username;
  return new ReplayClient({ name, account, conversationId, backoff: BACKOFF, intern, onFirstSight: () => undefined });
}

/** One object for each distinct entry, whoever receives it. */
function interning(): (payload: unknown) => LogEntry {
  const known = new Map<string, LogEntry>();
  return (payload) => {
    const key = JSON.stringify(payload);
    const entry = known.get(key) ?? parse(LogEntry, payload, 'log entry');
    known.set(key, entry);
    return entry;
  };
}
