import { Account, addressOf, mapBounded, RestClient, type RestRequest, untilAnswered } from '@parley/load';
import type { RouteName } from '@parley/contracts';
import { z } from 'zod';

import { type Answer, type Entry, LiveSession, type ServerEvent } from './failure-session.js';

const NAMES = ['ann', 'bob', 'cy', 'eve'] as const;
type Name = (typeof NAMES)[number];
type Read = 'conversations' | 'messages' | 'syncConversation';
type Place = readonly [gateway: number, chat: number];
/** Ann speaks; the others hear her on another chat server, by either gateway. Eve is never there. */
const PLACES: Readonly<Record<Exclude<Name, 'eve'>, Place>> = { ann: [1, 1], bob: [2, 2], cy: [1, 2] };
const WARM_MESSAGES = 5;
const ASSIGN_ATTEMPTS = 200;
/** A client that has waited this long asks again, and the balancer passes it to the next gateway. */
const IMPATIENT_MS = 1_000;
const PATIENT_MS = 10_000;
const HEAR_WITHIN_MS = 40_000;
const WELCOME_WITHIN_MS = 4_000;
const DEVICE = 'probe';

const Refused = z.looseObject({
  ok: z.literal(false),
  error: z.looseObject({ code: z.string(), retryable: z.boolean() }),
});
const Answered = z.looseObject({ ok: z.literal(true) });
const Accepted = z.looseObject({ ok: z.literal(true), message: z.looseObject({ seq: z.number() }) });

export interface Warm {
  readonly id: string;
  readonly type: 'direct' | 'group' | 'channel';
  readonly hearers: readonly Exclude<Name, 'eve'>[];
}
export interface Said extends Pick<Warm, 'id' | 'hearers'> {
  readonly text: string;
}

/** A few people with conversations that they have used before, and what they try while something is broken. */
export class Cast {
  readonly #sessions = new Map<Name, LiveSession>();
  readonly #byGateway: readonly RestClient[];
  readonly #impatient: RestClient;
  #accounts = new Map<Name, Account>();
  #conversations: readonly Warm[] = [];
  /** Where she was heard last: a recent cursor is shortly before it. */
  readonly #lastSaid = new Map<string, number>();
  #toEve = '';
  #said = 0;

  private constructor(
    private readonly run: string,
    private readonly rest: RestClient,
    gateways: readonly string[],
  ) {
    this.#byGateway = gateways.map((url) => new RestClient(url, { timeoutMs: PATIENT_MS }));
    this.#impatient = new RestClient(rest.baseUrl, { timeoutMs: IMPATIENT_MS });
  }

  /** `url` is the balancer's, `gateways` are those behind it. */
  static async gather(run: string, url: string, gateways: readonly string[]): Promise<Cast> {
    const cast = new Cast(run, new RestClient(url, { timeoutMs: PATIENT_MS }), gateways);
    try {
      await cast.#gather();
    } catch (error) {
      cast.close();
      throw error;
    }
    return cast;
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close();
    for (const rest of [this.rest, this.#impatient, ...this.#byGateway]) rest.close();
  }

  /** Everything is known everywhere: everybody has spoken and read by each gateway, and everybody is heard. */
  async warm(): Promise<void> {
    await Promise.all((['ann', 'bob', 'cy'] as const).map((name) => this.#place(name)));
    for (let round = 0; round < WARM_MESSAGES; round += 1) await this.heard(await this.say(), HEAR_WITHIN_MS);
    await this.restSends();
    await this.#readAll();
    await this.read();
  }

  /** Ann, over her socket, in each conversation, each tried once. Resolves when all are acknowledged. */
  async say(): Promise<readonly Said[]> {
    return Promise.all(
      this.#conversations.map(async (conversation) => {
        const said = this.#next(conversation);
        const { message } = Accepted.parse(await this.trySaying(said));
        this.#lastSaid.set(said.id, message.seq);
        return said;
      }),
    );
  }

  trySaying({ id, text }: Said): Promise<Answer> {
    return this.session('ann').request('message.send', bodyOf(id, text));
  }

  /** What she tried to say, refused for now in every conversation. */
  async sayInVain(): Promise<readonly Said[]> {
    return Promise.all(
      this.#conversations.map(async (conversation) => {
        const said = this.#next(conversation);
        const { error } = Refused.parse(await this.trySaying(said));
        if (error.code !== 'unavailable' || !error.retryable) throw new Error(`refused with ${JSON.stringify(error)}`);
        return said;
      }),
    );
  }

  /** The same again, twice: acknowledged with the same position, and there once. */
  async sayAgain(all: readonly Said[]): Promise<void> {
    for (const said of all) {
      const first = await this.#untilAccepted(said);
      const second = await this.#untilAccepted(said);
      const { items } = await this.#call('ann', 'messages', {
        params: { conversationId: said.id },
        query: { limit: 100 },
      });
      const found = items.filter(({ content }) => content?.type === 'text' && content.text === said.text);
      if (first !== second || found.length !== 1 || found[0]?.seq !== first)
        throw new Error(`at ${first}, then at ${second}, and ${found.length} times in the history`);
    }
  }

  /** By REST in each conversation; a client that asks again when it has waited too long, or only once. */
  async restSends(how: 'once' | 'again' = 'once'): Promise<void> {
    await Promise.all(
      this.#conversations.map((conversation) => {
        const { id, text } = this.#next(conversation);
        const { conversationId, ...body } = bodyOf(id, text);
        const request = { params: { conversationId }, body };
        return how === 'once' ? this.#call('ann', 'send', request) : this.#callAgain('ann', 'send', request);
      }),
    );
  }

  async heard(all: readonly Said[], withinMs: number): Promise<void> {
    await Promise.all(
      all.flatMap(({ text, hearers }) =>
        hearers.map((name) =>
          this.session(name).until(`"${text}" at ${name}`, ({ payload }) => textOf(payload) === text, withinMs),
        ),
      ),
    );
  }

  /** Bob's list, the latest page of a conversation and what is after a recent cursor, at each gateway. */
  async read(): Promise<void> {
    await Promise.all(
      this.#byGateway.map((rest) => this.#readWith((name, request) => this.#callAt(rest, 'bob', name, request))),
    );
  }

  /** The same through the balancer, by a client that asks again. */
  readAgain(): Promise<void> {
    return this.#readWith((name, request) => this.#callAgain('bob', name, request));
  }

  /** A new session at each gateway. */
  async assign(): Promise<void> {
    await Promise.all(
      this.#byGateway.map((rest) => this.#callAt(rest, 'bob', 'session', { body: { deviceId: 'another' } })),
    );
  }

  /** Rejects as the gateway refuses it. */
  createConversation(): Promise<unknown> {
    const body = { type: 'group', memberIds: [this.#account('bob').user.id], name: `group ${this.#number()}` };
    return this.#call('ann', 'createConversation', { body });
  }

  /** To somebody who is not there: an inbox record. */
  async sayToEve(): Promise<void> {
    const body = bodyOf(this.#toEve, `to eve ${this.#number()}`);
    Accepted.parse(await this.session('ann').request('message.send', body));
  }

  /**
   * Somebody new registers, is written to, connects, is seen online and hears: nothing of it was known before. Presence
   * is lossy: a change that nobody was told of in the moment of coming back is not told again, so others are welcomed.
   */
  async welcome(giveUpAfterMs: number): Promise<void> {
    const deadlineMs = performance.now() + giveUpAfterMs;
    for (;;) {
      try {
        await this.#welcomeOne(Math.min(WELCOME_WITHIN_MS, deadlineMs - performance.now()));
        return;
      } catch (error) {
        if (performance.now() >= deadlineMs) throw error;
      }
    }
  }

  async #welcomeOne(giveUpAfterMs: number): Promise<void> {
    const retry = { giveUpAfterMs };
    const username = `${this.run}.guest.${this.#number()}`;
    const guest = await Account.register(this.#impatient, { username, password: 'somebody new' }, retry);
    const body = { type: 'direct', memberIds: [guest.user.id] };
    const { id } = await untilAnswered(
      () => this.#callAt(this.#impatient, 'ann', 'createConversation', { body }),
      retry,
    );
    Answered.parse(await this.session('ann').request('presence.subscribe', { userIds: [guest.user.id] }));
    const session = await untilAnswered(
      () => this.#open(guest, async () => addressOf(await this.#sessionOf(guest))),
      retry,
    );
    try {
      const said: Said = { id, text: `welcome ${this.#number()}`, hearers: [] };
      await this.#untilAccepted(said);
      await session.until('the welcome', ({ payload }) => textOf(payload) === said.text, giveUpAfterMs);
      const online = ({ event, payload }: ServerEvent): boolean =>
        event === 'presence.changed' && payload['userId'] === guest.user.id && payload['status'] === 'online';
      await this.session('ann').until('presence of the guest', online, giveUpAfterMs);
    } finally {
      session.close();
    }
  }

  session(name: Name): LiveSession {
    const session = this.#sessions.get(name);
    if (session === undefined) throw new Error(`${name} has no session`);
    return session;
  }

  async #gather(): Promise<void> {
    const accounts = await mapBounded(NAMES, 2, (name) =>
      Account.register(this.rest, { username: `${this.run}.${name}`, password: `${name} is here` }),
    );
    this.#accounts = new Map(NAMES.map((name, at) => [name, accounts[at] as Account]));
    this.#conversations = [
      await this.#make('direct', ['bob']),
      await this.#make('direct', ['cy']),
      await this.#make('group', ['bob', 'cy']),
      await this.#make('channel', ['bob', 'cy']),
    ];
    const body = { type: 'direct', memberIds: [this.#account('eve').user.id] };
    this.#toEve = (await this.#call('ann', 'createConversation', { body })).id;
  }

  async #make(type: Warm['type'], hearers: Warm['hearers']): Promise<Warm> {
    const memberIds = hearers.map((name) => this.#account(name).user.id);
    const body = { type, memberIds, ...(type === 'direct' ? {} : { name: `a ${type}` }) };
    const { id } = await this.#call('ann', 'createConversation', { body });
    return { id, type, hearers };
  }

  /** A session by that gateway on that chat server; where the person has a live one already it stays only if it is there. */
  async #place(name: Exclude<Name, 'eve'>): Promise<void> {
    this.#sessions.get(name)?.close();
    const [gateway, chat] = PLACES[name];
    const rest = this.#byGateway[gateway - 1];
    if (rest === undefined) throw new Error(`there is no gateway ${gateway}`);
    let first = true;
    const assign = async () => {
      if (!first) return addressOf(await this.#sessionOf(this.#account(name)));
      first = false;
      for (let attempt = 0; attempt < ASSIGN_ATTEMPTS; attempt += 1) {
        const assignment = await this.#callAt(rest, name, 'session', { body: { deviceId: DEVICE } });
        if (assignment.serverId.endsWith(String(chat))) return addressOf(assignment);
      }
      throw new Error(`nobody is assigned to chat server ${chat}`);
    };
    this.#sessions.set(name, await this.#open(this.#account(name), assign));
  }

  #open(account: Account, assign: () => Promise<ReturnType<typeof addressOf>>): Promise<LiveSession> {
    const fetch = async (conversationId: string, after: number): Promise<readonly Entry[]> => {
      const token = await account.token();
      const query = { conversationId, after, limit: 1_000 };
      const { entries } = await untilAnswered(() => this.#impatient.call('syncConversation', { token, query }));
      return entries;
    };
    return LiveSession.open({ assign, fetch });
  }

  async #sessionOf(account: Account) {
    return this.#impatient.call('session', { token: await account.token(), body: { deviceId: DEVICE } });
  }

  async #readWith(call: (name: Read, request: RestRequest) => Promise<unknown>): Promise<void> {
    const own = this.#conversations.filter(({ hearers }) => hearers.includes('bob'));
    const [first] = own;
    if (first === undefined) throw new Error('nobody has a conversation');
    await Promise.all([
      call('conversations', {}),
      ...own.map(({ id }) => call('messages', { params: { conversationId: id }, query: { limit: 5 } })),
      call('syncConversation', { query: { conversationId: first.id, after: (this.#lastSaid.get(first.id) ?? 0) - 2 } }),
    ]);
  }

  /** Unread messages are counted exactly or not at all: from the cache only as far back as it reaches. */
  async #readAll(): Promise<void> {
    const { items } = await this.#call('bob', 'conversations', {});
    await Promise.all(
      items.map(({ id, head }) =>
        this.#call('bob', 'markRead', { params: { conversationId: id }, body: { seq: head } }),
      ),
    );
  }

  async #untilAccepted(said: Said): Promise<number> {
    const send = async (): Promise<number> => {
      const { conversationId, ...body } = bodyOf(said.id, said.text);
      return (await this.#callAt(this.#impatient, 'ann', 'send', { params: { conversationId }, body })).seq;
    };
    return untilAnswered(send, { giveUpAfterMs: HEAR_WITHIN_MS });
  }

  #call<N extends RouteName>(who: Name, name: N, request: RestRequest) {
    return this.#callAt(this.rest, who, name, request);
  }

  #callAgain<N extends RouteName>(who: Name, name: N, request: RestRequest) {
    return untilAnswered(() => this.#callAt(this.#impatient, who, name, request), { giveUpAfterMs: HEAR_WITHIN_MS });
  }

  async #callAt<N extends RouteName>(rest: RestClient, who: Name, name: N, request: RestRequest) {
    return rest.call(name, { ...request, token: await this.#account(who).token() });
  }

  #account(name: Name): Account {
    const account = this.#accounts.get(name);
    if (account === undefined) throw new Error(`${name} is not here`);
    return account;
  }

  #next({ id, hearers }: Warm): Said {
    return { id, hearers, text: `said ${this.#number()}` };
  }

  #number(): number {
    this.#said += 1;
    return this.#said;
  }
}

function bodyOf(conversationId: string, text: string) {
  return { conversationId, clientId: text.replaceAll(' ', '-'), content: { type: 'text', text } };
}

function textOf(payload: Readonly<Record<string, unknown>>): unknown {
  const { content } = payload;
  return typeof content === 'object' && content !== null && 'text' in content ? content.text : undefined;
}
