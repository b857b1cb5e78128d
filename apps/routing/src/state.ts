import {
  type ConversationFacts,
  type LogEntry,
  type MembershipInterval,
  type MessageEntry,
  type Role,
  type Seq,
  seq,
  type StoredEntry,
  type UserId,
} from '@parley/contracts';
import { currentInterval, type MessageState } from '@parley/conversation';
import { clientKey, type LogHead } from '@parley/conversation-log';

/** How long a client id stands for the message that was first sent with it. */
export const CLIENT_ID_TTL_MS = 7 * 24 * 60 * 60 * 1_000;
/** Client ids kept in memory per conversation; older ones are looked up in the log. */
export const RECENT_CLIENT_IDS_MAX = 1_000;

/** People whose standing is kept in memory per conversation; beyond, all are forgotten and looked up anew. */
const STANDINGS_MAX = 20_000;

/** A person's standing in the conversation as of the head; `role` null: not a member. */
export interface Standing {
  readonly role: Role | null;
  readonly intervals: readonly MembershipInterval[];
}

/**
 * What routing keeps of a conversation in memory: always exactly the log's state at `head`. Everything in it can be
 * rebuilt from the log and the directory, and is, after a conflict that it cannot explain or a write whose outcome is
 * not known.
 */
export class ConversationState {
  head: LogHead;
  facts: ConversationFacts;
  /** Standing of those who were looked up; a cache as of the head. */
  readonly standings = new Map<UserId, Standing>();
  /** Client ids of messages after `recentFrom`, by `clientKey`. */
  readonly recent = new Map<string, MessageEntry>();
  /** Memory holds every client id of messages with a higher seq; 0: of the whole log. */
  recentFrom: Seq;

  constructor(head: LogHead, facts: ConversationFacts, tail: readonly StoredEntry[], tailFrom: Seq) {
    this.head = head;
    this.facts = facts;
    this.recentFrom = tailFrom;
    for (const { entry } of tail) this.#remember(entry);
  }

  /** The state after further entries, whoever wrote them. */
  apply(stored: readonly StoredEntry[]): void {
    for (const { entry, ordinal, memberSeq } of stored) {
      this.head = {
        ...this.head,
        seq: entry.seq,
        ordinal,
        memberSeq,
        lastMessageSeq: entry.kind === 'message' ? entry.seq : this.head.lastMessageSeq,
        lastAtMs: Date.parse(entry.sentAt),
      };
      this.#remember(entry);
      if (entry.kind === 'settings') this.facts = applySettings(this.facts, entry);
      if (entry.kind === 'member') this.#applyMember(entry);
    }
  }

  standing(userId: UserId): Standing | undefined {
    return this.standings.get(userId);
  }

  role(userId: UserId): Role | null {
    return this.standings.get(userId)?.role ?? null;
  }

  /** Keeps the bound; called before a batch is looked at, never within one. */
  trim(): void {
    if (this.standings.size > STANDINGS_MAX) this.standings.clear();
  }

  learn(members: ReadonlyMap<UserId, readonly MembershipInterval[]>, asked: readonly UserId[]): void {
    for (const userId of asked) {
      const intervals = members.get(userId) ?? [];
      this.standings.set(userId, { role: currentInterval(intervals)?.role ?? null, intervals });
    }
  }

  #applyMember(entry: Extract<LogEntry, { kind: 'member' }>): void {
    let delta = 0;
    for (const userId of entry.userIds) {
      const known = this.standings.get(userId);
      if (entry.op === 'added') {
        const role = entry.role ?? 'member';
        delta += 1;
        const interval = { role, joinedSeq: entry.seq, leftSeq: null };
        // Without the earlier intervals a cached standing would be wrong; the next use looks it up.
        if (known !== undefined) this.standings.set(userId, { role, intervals: [...known.intervals, interval] });
      } else if (entry.op === 'removed') {
        delta -= 1;
        if (known !== undefined) {
          this.standings.set(userId, {
            role: null,
            intervals: known.intervals.map((i) => (i.leftSeq === null ? { ...i, leftSeq: entry.seq } : i)),
          });
        }
      } else if (known !== undefined && entry.role !== undefined) {
        const role = entry.role;
        this.standings.set(userId, {
          role,
          intervals: known.intervals.map((i) => (i.leftSeq === null ? { ...i, role } : i)),
        });
      }
    }
    this.facts = { ...this.facts, memberCount: this.facts.memberCount + delta };
  }

  #remember(entry: LogEntry): void {
    if (entry.kind === 'delete') this.#redact(entry.targetSeq, entry.sentAt);
    if (entry.kind !== 'message' || entry.clientId === undefined) return;
    this.recent.set(clientKey({ senderId: entry.senderId, clientId: entry.clientId }), entry);
    if (this.recent.size <= RECENT_CLIENT_IDS_MAX) return;
    const oldest = this.recent.entries().next();
    if (oldest.done === true) return;
    this.recent.delete(oldest.value[0]);
    this.recentFrom = seq(Math.max(this.recentFrom, oldest.value[1].seq));
  }

  /** What was deleted leaves memory too. */
  #redact(targetSeq: number, deletedAt: string): void {
    for (const [key, message] of this.recent) {
      if (message.seq !== targetSeq) continue;
      const { mentions: _mentions, ...rest } = message;
      this.recent.set(key, { ...rest, content: null, deletedAt });
    }
  }
}

function applySettings(facts: ConversationFacts, entry: Extract<LogEntry, { kind: 'settings' }>): ConversationFacts {
  const { name, topic, visibility, history, deleted } = entry.changes;
  return {
    ...facts,
    ...(name === undefined ? {} : { name }),
    ...(topic === undefined ? {} : { topic }),
    ...(visibility === undefined ? {} : { visibility }),
    ...(history === undefined ? {} : { history }),
    ...(deleted === true ? { deletedAt: entry.sentAt } : {}),
  };
}

/** Messages that the commands of a batch refer to, by seq; `null`: no such message. Changes as the batch is decided. */
export type Targets = Map<number, MessageState | null>;
