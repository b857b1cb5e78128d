import { isDeepStrictEqual } from 'node:util';
import type { LogEntry, MessageEntry } from '@parley/contracts';

/** A send that was acknowledged. Times are of one monotonic clock for all clients. */
export interface AcknowledgedSend {
  readonly clientId: string;
  readonly seq: number;
  readonly text: string;
  readonly parentSeq?: number;
  readonly startedAtMs: number;
  readonly acknowledgedAtMs: number;
}

export interface AcknowledgedChange {
  readonly kind: 'edit' | 'delete' | 'reaction';
  readonly seq: number;
  readonly targetSeq: number;
}

/** What one client saw of its conversation, by every means. */
export interface ClientHistory {
  readonly name: string;
  readonly userId: string;
  /** Raw events in order of arrival, with the connection (0, 1, …) that they came over. */
  readonly live: readonly { readonly entry: LogEntry; readonly connection: number }[];
  /** Answers of `sync`, in order, as they came. */
  readonly fetched: readonly { readonly after: number; readonly entries: readonly LogEntry[] }[];
  /** Positions as the client showed them: live, acknowledged and fetched, after dropping what it had by `seq`. */
  readonly shown: readonly number[];
  readonly sends: readonly AcknowledgedSend[];
  readonly changes: readonly AcknowledgedChange[];
  /** The whole conversation read again at the end; null when the server knows of none for this user. */
  readonly reread: readonly LogEntry[] | null;
  /** The connection was down at some time between asking to leave and seeing the entry that says so. */
  readonly awayWhileLeaving: boolean;
  /** Names of events that came for conversations that were never this client's. */
  readonly strays: readonly string[];
}

export interface ConversationHistory {
  /** The whole log as the owner, a member throughout, reads it at the end. */
  readonly log: readonly LogEntry[];
  readonly ownerId: string;
  readonly clients: readonly ClientHistory[];
  /**
   * Something that carries live events was down during the run, and may have lost some. Everybody notices by the jump in
   * `seq` and fetches; only whoever was leaving just then may not ask any more. Such entries are counted as unreachable.
   */
  readonly lossy?: boolean;
}

export const VIOLATIONS = ['lost', 'duplicated', 'reordered', 'leaked', 'altered'] as const;
export type ViolationKind = (typeof VIOLATIONS)[number];

export interface Violation {
  readonly kind: ViolationKind;
  readonly client: string;
  readonly seq: number;
  readonly what: string;
}

export interface Verdict {
  readonly counts: Readonly<Record<ViolationKind, number>>;
  /** The first of them; `counts` has all. */
  readonly violations: readonly Violation[];
  /** Entries that a client missed while it was leaving and could not ask for afterwards: nobody's fault. */
  readonly unreachable: number;
}

const VIOLATIONS_KEPT = 200;

/** Positions that one user may see: from `joined` to `left`, both included. */
export interface Interval {
  readonly joined: number;
  left: number;
}

/** Membership of everybody, from the log alone; for conversations with `history: joined`. */
export function intervalsOf(log: readonly LogEntry[], ownerId: string): Map<string, Interval[]> {
  const intervals = new Map<string, Interval[]>([[ownerId, [{ joined: 0, left: Infinity }]]]);
  for (const entry of log) {
    if (entry.kind !== 'member' || entry.op === 'role') continue;
    for (const userId of entry.userIds) {
      const own = intervals.get(userId) ?? [];
      intervals.set(userId, own);
      const open = own.at(-1)?.left === Infinity ? own.at(-1) : undefined;
      if (entry.op === 'added' && open === undefined) own.push({ joined: entry.seq, left: Infinity });
      else if (entry.op === 'removed' && open !== undefined) open.left = entry.seq;
    }
  }
  return intervals;
}

/**
 * Proves, or says where it is not so: the log is dense and holds every acknowledged send once, where and as it was
 * acknowledged; every client showed exactly what its membership covers, once and in order; nothing else reached it.
 * Written from the public contract, without the product's own idea of visibility.
 */
export function checkHistory(history: ConversationHistory): Verdict {
  const found = new Findings();
  checkLog(history.log, found);
  checkAcknowledgementOrder(history.clients, found);
  const bySeq = new Map(history.log.map((entry) => [entry.seq as number, entry]));
  const intervals = intervalsOf(history.log, history.ownerId);
  const sameAsLog = comparator(bySeq);
  for (const client of history.clients) {
    const own = intervals.get(client.userId) ?? [];
    const scope: Scope = { client, own, bySeq, found, sameAsLog, lossy: history.lossy === true };
    checkSends(scope, history.log);
    checkShown(scope, history.log);
    checkLive(scope);
    checkFetched(scope);
    checkReread(scope, history.log);
    for (const event of client.strays) found.add('leaked', client.name, 0, `${event} of a conversation never joined`);
  }
  return found.verdict();
}

interface Scope {
  readonly client: ClientHistory;
  readonly own: readonly Interval[];
  readonly bySeq: ReadonlyMap<number, LogEntry>;
  readonly found: Findings;
  readonly sameAsLog: (entry: LogEntry) => boolean;
  readonly lossy: boolean;
}

class Findings {
  readonly #counts: Record<ViolationKind, number> = { lost: 0, duplicated: 0, reordered: 0, leaked: 0, altered: 0 };
  readonly #violations: Violation[] = [];
  unreachable = 0;

  add(kind: ViolationKind, client: string, seq: number, what: string): void {
    this.#counts[kind] += 1;
    if (this.#violations.length < VIOLATIONS_KEPT) this.#violations.push({ kind, client, seq, what });
  }

  verdict(): Verdict {
    return { counts: this.#counts, violations: this.#violations, unreachable: this.unreachable };
  }
}

function visible(own: readonly Interval[], seq: number): boolean {
  return own.some(({ joined, left }) => joined <= seq && seq <= left);
}

function checkLog(log: readonly LogEntry[], found: Findings): void {
  let expected = 1;
  const firstOf = new Map<string, number>();
  const deleted = new Set(log.flatMap((entry) => (entry.kind === 'delete' ? [entry.targetSeq as number] : [])));
  for (const entry of log) {
    const { seq } = entry;
    if (seq > expected) found.add('lost', 'log', expected, `hole before ${seq}`);
    else if (seq < expected)
      found.add(seq === expected - 1 ? 'duplicated' : 'reordered', 'log', seq, `after ${expected - 1}`);
    expected = Math.max(expected, seq + 1);
    if (entry.kind === 'message' && entry.clientId !== undefined) {
      const key = `${entry.senderId} ${entry.clientId}`;
      const first = firstOf.get(key);
      if (first === undefined) firstOf.set(key, seq);
      else found.add('duplicated', 'log', seq, `client id ${entry.clientId} is at ${first} too`);
    }
    if (entry.kind === 'message' || entry.kind === 'edit') {
      const target = entry.kind === 'message' ? seq : entry.targetSeq;
      if (entry.content === null && !deleted.has(target)) found.add('altered', 'log', seq, 'empty, but never deleted');
      if (entry.content !== null && deleted.has(target))
        found.add('altered', 'log', seq, 'deleted, but still readable');
    }
  }
}

/** Of any two sends, one acknowledged before the other was begun has the lower position. */
function checkAcknowledgementOrder(clients: readonly ClientHistory[], found: Findings): void {
  const sends = clients.flatMap(({ name, sends: own }) => own.map((send) => ({ name, ...send })));
  const byStart = [...sends].sort((a, b) => a.startedAtMs - b.startedAtMs);
  const byEnd = [...sends].sort((a, b) => a.acknowledgedAtMs - b.acknowledgedAtMs);
  let highest = 0;
  let ended = 0;
  for (const send of byStart) {
    for (let next = byEnd[ended]; next !== undefined && next.acknowledgedAtMs < send.startedAtMs; next = byEnd[ended]) {
      highest = Math.max(highest, next.seq);
      ended += 1;
    }
    if (send.seq <= highest) found.add('reordered', send.name, send.seq, `sent after ${highest} was acknowledged`);
  }
}

function checkSends({ client, bySeq, found }: Scope, log: readonly LogEntry[]): void {
  for (const send of client.sends) {
    const entry = bySeq.get(send.seq);
    const isIt = (one: LogEntry | undefined): one is MessageEntry =>
      one?.kind === 'message' && one.senderId === client.userId && one.clientId === send.clientId;
    if (!isIt(entry)) {
      const at = log.find(isIt)?.seq;
      if (at === undefined) found.add('lost', client.name, send.seq, `acknowledged ${send.clientId} is not in the log`);
      else found.add('altered', client.name, send.seq, `acknowledged here, but ${send.clientId} is at ${at}`);
    } else if (
      (entry.content !== null && !isDeepStrictEqual(entry.content, { type: 'text', text: send.text })) ||
      entry.parentSeq !== send.parentSeq
    ) {
      found.add('altered', client.name, send.seq, 'another body than was acknowledged');
    }
  }
  for (const change of client.changes) {
    const entry = bySeq.get(change.seq);
    if (entry?.kind !== change.kind || entry.targetSeq !== change.targetSeq || entry.senderId !== client.userId) {
      found.add('lost', client.name, change.seq, `acknowledged ${change.kind} of ${change.targetSeq} is not there`);
    }
  }
}

function checkShown({ client, own, bySeq, found, lossy }: Scope, log: readonly LogEntry[]): void {
  let highest = 0;
  const shown = new Set<number>();
  for (const seq of client.shown) {
    if (shown.has(seq)) found.add('duplicated', client.name, seq, 'shown twice');
    else if (seq < highest) found.add('reordered', client.name, seq, `shown after ${highest}`);
    if (!bySeq.has(seq)) found.add('altered', client.name, seq, 'shown, but not in the log');
    else if (!visible(own, seq)) found.add('leaked', client.name, seq, 'shown, but not covered by membership');
    shown.add(seq);
    highest = Math.max(highest, seq);
  }
  const last = own.at(-1);
  for (const { seq } of log) {
    if (!visible(own, seq) || shown.has(seq)) continue;
    // The end of a membership that ended while the client was away: it may not ask for it any more.
    const excused = (client.awayWhileLeaving || lossy) && last !== undefined && last.left !== Infinity && seq > highest;
    if (excused) found.unreachable += 1;
    else found.add('lost', client.name, seq, 'never shown');
  }
}

function checkLive({ client, own, found, sameAsLog }: Scope): void {
  let connection = -1;
  let first = 0;
  let highest = 0;
  const seen = new Set<number>();
  for (const { entry, connection: over } of client.live) {
    if (over !== connection) {
      connection = over;
      first = entry.seq;
      highest = entry.seq;
    }
    if (!visible(own, entry.seq))
      found.add('leaked', client.name, entry.seq, `live ${entry.kind} outside of membership`);
    else if (!sameAsLog(entry))
      found.add('altered', client.name, entry.seq, `live ${entry.kind} is not what the log says`);
    // A server may push again what it is not sure to have pushed, so only what is new to the client must be in order;
    // what is older than the connection is such a repetition.
    if (entry.seq < highest && entry.seq > first && !seen.has(entry.seq)) {
      found.add('reordered', client.name, entry.seq, `live after ${highest}`);
    }
    seen.add(entry.seq);
    highest = Math.max(highest, entry.seq);
  }
}

function checkFetched({ client, own, found, sameAsLog }: Scope): void {
  for (const { after, entries } of client.fetched) {
    let before = after;
    for (const entry of entries) {
      if (entry.seq === before) found.add('duplicated', client.name, entry.seq, 'fetched twice in an answer');
      else if (entry.seq < before) found.add('reordered', client.name, entry.seq, `fetched after ${before}`);
      before = Math.max(before, entry.seq);
      if (!visible(own, entry.seq))
        found.add('leaked', client.name, entry.seq, `fetched ${entry.kind} outside of membership`);
      else if (!sameAsLog(entry))
        found.add('altered', client.name, entry.seq, `fetched ${entry.kind} is not what the log says`);
    }
  }
}

function checkReread({ client, own, bySeq, found }: Scope, log: readonly LogEntry[]): void {
  const member = own.at(-1)?.left === Infinity;
  if (client.reread === null) {
    if (member) found.add('lost', client.name, 0, 'a member is told that there is no such conversation');
    return;
  }
  if (!member) found.add('leaked', client.name, 0, 'a former member may still read');
  const reread = new Set<number>();
  for (const entry of client.reread) {
    if (reread.has(entry.seq)) found.add('duplicated', client.name, entry.seq, 'twice in the conversation read again');
    reread.add(entry.seq);
    if (!visible(own, entry.seq)) found.add('leaked', client.name, entry.seq, 'read again, outside of membership');
    else if (!isDeepStrictEqual(entry, bySeq.get(entry.seq))) {
      found.add('altered', client.name, entry.seq, 'read again, not what the owner reads');
    }
  }
  if (!member) return;
  for (const { seq } of log) {
    if (visible(own, seq) && !reread.has(seq)) found.add('lost', client.name, seq, 'missing when read again');
  }
}

/** Compares what was seen earlier with the final log: equal but for what a later deletion took away. */
function comparator(bySeq: ReadonlyMap<number, LogEntry>): (entry: LogEntry) => boolean {
  // Clients share one object per distinct entry, so each pair is compared once and not once per client.
  const known = new Map<LogEntry, boolean>();
  return (entry) => {
    const cached = known.get(entry);
    if (cached !== undefined) return cached;
    const final = bySeq.get(entry.seq);
    const same = final !== undefined && isDeepStrictEqual(withoutRedacted(entry, final), withoutRedacted(final, final));
    known.set(entry, same);
    return same;
  };
}

function withoutRedacted(entry: LogEntry, final: LogEntry): unknown {
  if ((final.kind !== 'message' && final.kind !== 'edit') || final.content !== null) return entry;
  const { content: _content, deletedAt: _deletedAt, mentions: _mentions, ...rest } = entry as MessageEntry;
  return rest;
}
