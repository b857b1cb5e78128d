import { LogEntry, parse } from '@parley/contracts';
import { Account, mapBounded, RestClient, untilAnswered } from '@parley/load';
import { checkHistory, ReplayClient, type Verdict } from '@parley/replay';
import { setTimeout as sleep } from 'node:timers/promises';

const TYPES = ['group', 'channel'] as const;
const MEMBERS = 4;
/** Between one's own acknowledgement and one's next message. */
const PAUSE_MS = 100;
const SETTLE_MS = 20_000;
/** The first wait is the design's; the longest is shorter, so that nobody is still waiting long after a fault is over. */
const BACKOFF = { firstMs: 1_000, capMs: 4_000, jitter: 0.5, random: Math.random };

export interface LoadReport {
  readonly acknowledged: number;
  readonly resent: number;
  readonly reconnections: number;
  readonly failures: readonly string[];
  readonly verdicts: readonly Verdict[];
}

interface Conversation {
  readonly id: string;
  readonly clients: readonly ReplayClient[];
}

/** People in a group and a channel who talk all the time; each says nothing new before the last was acknowledged. */
export class TalkLoad {
  readonly #stop = new AbortController();
  readonly #talking: readonly Promise<void>[];
  readonly #failures: string[] = [];
  #acknowledged = 0;

  private constructor(
    private readonly rest: RestClient,
    private readonly conversations: readonly Conversation[],
    private readonly owners: readonly Account[],
  ) {
    this.#talking = conversations.flatMap(({ clients }) => clients.map((client) => this.#talk(client)));
  }

  /** With accounts of its own; `name` begins their usernames. */
  static async start(url: string, name: string): Promise<TalkLoad> {
    const rest = new RestClient(url, { connectionsMax: 32 });
    const names = TYPES.flatMap((type) => Array.from({ length: MEMBERS }, (_none, at) => `${name}.${type}.${at}`));
    const accounts = await mapBounded(names, 4, (username) =>
      Account.register(rest, { username, password: `${name} talks` }),
    );
    const owners: Account[] = [];
    const conversations = await Promise.all(
      TYPES.map(async (type, at): Promise<Conversation> => {
        const [owner, ...others] = accounts.slice(at * MEMBERS, (at + 1) * MEMBERS);
        if (owner === undefined) throw new RangeError(`nobody owns the ${type}`);
        owners.push(owner);
        const body = { type, history: 'joined', memberIds: [], name: `${name} ${type}` };
        const { id } = await owner.call('createConversation', { body });
        // By an entry, so that the log alone says who is a member.
        const userIds = others.map(({ user }) => user.id);
        await owner.call('addMembers', { params: { conversationId: id }, body: { userIds } });
        const intern = interning();
        const clients = [owner, ...others].map((account) => clientOf(account, id, intern));
        await Promise.all(clients.map((client) => client.start()));
        return { id, clients };
      }),
    );
    return new TalkLoad(rest, conversations, owners);
  }

  /** Ends the talk, waits until everything said was acknowledged, reads all of it again and judges what everybody saw. */
  async finish(): Promise<LoadReport> {
    try {
      this.#stop.abort();
      await Promise.all(this.#talking);
      const verdicts = await Promise.all(this.conversations.map((one, at) => this.#judge(one, this.owners[at])));
      const clients = this.conversations.flatMap((one) => one.clients);
      return {
        acknowledged: this.#acknowledged,
        resent: clients.reduce((sum, { resent }) => sum + resent, 0),
        reconnections: clients.reduce((sum, { reconnections }) => sum + reconnections, 0),
        failures: [...this.#failures, ...clients.flatMap(({ failures }) => failures)],
        verdicts,
      };
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#stop.abort();
    for (const { clients } of this.conversations) for (const client of clients) client.stop();
    this.rest.close();
  }

  async #talk(client: ReplayClient): Promise<void> {
    for (let number = 0; !this.#stop.signal.aborted; number += 1) {
      try {
        await client.send(`talk-${number}`, `${number}`);
        this.#acknowledged += 1;
      } catch (error) {
        this.#failures.push(`talk-${number}: ${String(error)}`);
      }
      await sleep(PAUSE_MS);
    }
  }

  async #judge({ id, clients }: Conversation, owner: Account | undefined): Promise<Verdict> {
    if (owner === undefined) throw new RangeError(`nobody owns ${id}`);
    const params = { conversationId: id };
    const { head } = await untilAnswered(() => owner.call('conversation', { params }));
    // What is on its way live may arrive before the rest is fetched.
    const deadlineMs = performance.now() + SETTLE_MS;
    while (performance.now() < deadlineMs && clients.some(({ cursor }) => cursor < head)) await sleep(50);
    await Promise.all(clients.map((client) => client.catchUp()));
    const log = (await clients[0]?.reread()) ?? [];
    const histories = await mapBounded(clients, 2, async (client) => client.history(await client.reread()));
    return checkHistory({ log, ownerId: owner.user.id, clients: histories });
  }
}

function clientOf(account: Account, conversationId: string, intern: (payload: unknown) => LogEntry): ReplayClient {
  const name = account.user.username;
  return new ReplayClient({ name, account, conversationId, backoff: BACKOFF, intern, onFirstSight: () => undefined });
}

function interning(): (payload: unknown) => LogEntry {
  const known = new Map<string, LogEntry>();
  return (payload) => {
    const key = JSON.stringify(payload);
    const entry = known.get(key) ?? parse(LogEntry, payload, 'log entry');
    known.set(key, entry);
    return entry;
  };
}
