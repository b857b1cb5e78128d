import {
  type ConversationFacts,
  type ConversationId,
  type MemberRow,
  type MembershipInterval,
  ParleyError,
  type Seq,
  seq,
  type UserId,
} from '@parley/contracts';
import type { Directory, MembershipView, UserRecord } from '@parley/directory';
import { type Clock, Outage } from '@parley/service-kit';
import QuickLRU from 'quick-lru';

const CONVERSATIONS_MAX = 20_000;
const USERS_MAX = 50_000;
const MEMBERSHIPS_MAX = 200_000;
const LISTS_MAX = 5_000;

/** An answer, and the position of the conversation that it is at least as new as. */
interface AsOf<T> {
  readonly value: T;
  readonly seq: Seq;
}

type Remembered = Pick<
  Directory,
  'users' | 'conversation' | 'memberships' | 'allMemberships' | 'membershipOf' | 'conversationsOf' | 'formerAmong'
>;

/**
 * The directory with a memory for the time when its store is away (section 10 of the design): people and conversations
 * that this gateway has met go on, as they last were; what it has not met, and every change, is `unavailable`. Nobody
 * trusts a projection that lags, here neither: an answer about members stands only for the position that the facts
 * name, so whoever needs a later one is refused.
 */
export function withMemory(directory: Directory, clock: Clock): Directory {
  const memory = new Memory(directory, clock);
  const remembered: Remembered = {
    users: (workspaceId, ids) => memory.users(workspaceId, ids),
    conversation: (id) => memory.conversation(id),
    memberships: (id, userIds) => memory.memberships(id, userIds),
    allMemberships: (id) => memory.allMemberships(id),
    membershipOf: (userId, id) => memory.membershipOf(userId, id),
    conversationsOf: (workspaceId, userId) => memory.conversationsOf(workspaceId, userId),
    // Only for telling a client what it lost: it asks again.
    formerAmong: (userId, ids) =>
      memory.or(
        () => directory.formerAmong(userId, ids),
        () => [],
      ),
  };
  return new Proxy(directory, {
    get(target, name) {
      if (name in remembered) return remembered[name as keyof Remembered];
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const ask = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      return name === 'close' ? ask : (...args: unknown[]) => memory.refusedWhileAway(() => ask(...args));
    },
  });
}

class Memory {
  readonly #outage: Outage;
  readonly #users = new QuickLRU<UserId, UserRecord>({ maxSize: USERS_MAX });
  readonly #facts = new QuickLRU<ConversationId, ConversationFacts>({ maxSize: CONVERSATIONS_MAX });
  readonly #members = new QuickLRU<string, AsOf<readonly MembershipInterval[]>>({ maxSize: MEMBERSHIPS_MAX });
  readonly #everyone = new QuickLRU<ConversationId, AsOf<readonly MemberRow[]>>({ maxSize: CONVERSATIONS_MAX });
  readonly #views = new QuickLRU<string, MembershipView | null>({ maxSize: MEMBERSHIPS_MAX });
  readonly #lists = new QuickLRU<UserId, readonly MembershipView[]>({ maxSize: LISTS_MAX });

  constructor(
    private readonly directory: Directory,
    clock: Clock,
  ) {
    this.#outage = new Outage(clock);
  }

  or<T>(ask: () => Promise<T>, remember: () => T | undefined): Promise<T> {
    return this.#outage.or(ask, remember);
  }

  /** What nothing is remembered of, and what changes something: refused at once while the store is known to be away. */
  async refusedWhileAway<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#outage.known) throw new ParleyError('unavailable', 'The directory does not answer now');
    return this.#outage.noted(ask);
  }

  users(workspaceId: UserRecord['workspaceId'], ids: readonly UserId[]): Promise<ReadonlyMap<UserId, UserRecord>> {
    return this.or(
      async () => {
        const found = await this.directory.users(workspaceId, ids);
        for (const [id, user] of found) this.#users.set(id, user);
        return found;
      },
      () => {
        const known = new Map<UserId, UserRecord>();
        for (const id of ids) {
          const user = this.#users.get(id);
          if (user?.workspaceId === workspaceId) known.set(id, user);
        }
        return known.size === ids.length ? known : undefined;
      },
    );
  }

  conversation(id: ConversationId): Promise<ConversationFacts | null> {
    return this.or(
      async () => {
        const facts = await this.directory.conversation(id);
        if (facts !== null) this.#facts.set(id, facts);
        return facts;
      },
      () => this.#facts.get(id),
    );
  }

  memberships(
    id: ConversationId,
    userIds: readonly UserId[],
  ): Promise<ReadonlyMap<UserId, readonly MembershipInterval[]>> {
    const asOf = this.#appliedSeq(id);
    return this.or(
      async () => {
        const found = await this.directory.memberships(id, userIds);
        for (const userId of userIds) {
          this.#members.set(`${id} ${userId}`, { value: found.get(userId) ?? [], seq: asOf });
        }
        return found;
      },
      () => {
        const known = new Map<UserId, readonly MembershipInterval[]>();
        for (const userId of userIds) {
          const intervals = this.#members.get(`${id} ${userId}`);
          if (intervals === undefined || intervals.seq < this.#appliedSeq(id)) return undefined;
          if (intervals.value.length > 0) known.set(userId, intervals.value);
        }
        return known;
      },
    );
  }

  allMemberships(id: ConversationId): Promise<readonly MemberRow[]> {
    const asOf = this.#appliedSeq(id);
    return this.or(
      async () => {
        const value = await this.directory.allMemberships(id);
        this.#everyone.set(id, { value, seq: asOf });
        return value;
      },
      () => {
        const known = this.#everyone.get(id);
        return known === undefined || known.seq < this.#appliedSeq(id) ? undefined : known.value;
      },
    );
  }

  membershipOf(userId: UserId, id: ConversationId): Promise<MembershipView | null> {
    const key = `${id} ${userId}`;
    return this.or(
      async () => {
        const view = await this.directory.membershipOf(userId, id);
        this.#views.set(key, view);
        return view;
      },
      () => this.#current(this.#views.get(key)),
    );
  }

  conversationsOf(workspaceId: UserRecord['workspaceId'], userId: UserId): Promise<readonly MembershipView[]> {
    return this.or(
      async () => {
        const list = await this.directory.conversationsOf(workspaceId, userId);
        this.#lists.set(userId, list);
        for (const view of list) {
          this.#facts.set(view.conversation.id, view.conversation);
          this.#views.set(`${view.conversation.id} ${userId}`, view);
        }
        return list;
      },
      () => this.#lists.get(userId)?.filter(({ conversation }) => conversation.workspaceId === workspaceId),
    );
  }

  /** A view that is older than the facts might be of somebody who has been removed. */
  #current(view: MembershipView | null | undefined): MembershipView | null | undefined {
    if (view === undefined || view === null) return view;
    return view.conversation.appliedSeq < this.#appliedSeq(view.conversation.id) ? undefined : view;
  }

  #appliedSeq(id: ConversationId): Seq {
    return this.#facts.get(id)?.appliedSeq ?? seq(0);
  }
}
