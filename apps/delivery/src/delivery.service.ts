import {
  type Actor,
  type ConversationId,
  type DeliveryLink,
  type DirectoryLink,
  type DirectoryRecord,
  isUnavailable,
  type MessagesRecord,
  type PublishedEntry,
  type Seq,
  seq,
} from '@parley/contracts';
import type { ConversationLog } from '@parley/conversation-log';
import type { Subscription } from '@parley/event-bus';
import type { FrameBus } from '@parley/frame-bus';
import type { ServiceContext } from '@parley/service-kit';
import QuickLRU from 'quick-lru';

import type { DeliveryConfig } from './config.js';
import { FanOut } from './fan-out.js';
import { type DeliveryMetrics, deliveryMetrics } from './metrics.js';
import { type Addressed, Outbox, type OutboxPorts } from './outbox.js';
import { Recipients } from './recipients.js';

/** A gap longer than this is left to the clients' own sync. */
const GAP_MAX = 1_000;

export interface DeliveryPorts extends Omit<OutboxPorts, 'metrics'> {
  readonly log: ConversationLog;
  readonly directory: DirectoryLink;
  readonly frames: FrameBus;
  readonly context: ServiceContext;
}

/** How records came: by the bus, or by a call of routing while the bus is away. */
type Via = 'bus' | 'call';

/** Turns each accepted entry into exactly one event for those who may see it, in order of `seq`. */
export class DeliveryService implements DeliveryLink {
  readonly #metrics: DeliveryMetrics;
  readonly #outbox: Outbox;
  readonly #fanOut: FanOut;
  /** The next position due of each conversation that this instance has seen. */
  readonly #next: QuickLRU<ConversationId, Seq>;
  /**
   * Up to where a conversation was pushed by a call: when the bus brings the same entries, those who were not reached
   * hear of them by inbox, and nobody gets them live again.
   */
  readonly #pushed: QuickLRU<ConversationId, Seq>;
  /** Conversations that are being delivered, so that what comes by call and by bus does not overtake each other. */
  readonly #turns = new Map<ConversationId, Promise<void>>();
  #subscriptions: Subscription[] = [];

  constructor(
    private readonly ports: DeliveryPorts,
    config: DeliveryConfig,
  ) {
    this.#metrics = deliveryMetrics(ports.context.metrics);
    this.#outbox = new Outbox({ ...ports, metrics: this.#metrics });
    const recipients = new Recipients(ports.directory, config.PARLEY_DELIVERY_CONVERSATIONS_MAX);
    this.#fanOut = new FanOut(ports, this.#outbox, recipients);
    this.#next = new QuickLRU({ maxSize: config.PARLEY_DELIVERY_CONVERSATIONS_MAX });
    this.#pushed = new QuickLRU({ maxSize: config.PARLEY_DELIVERY_CONVERSATIONS_MAX });
  }

  async start(): Promise<void> {
    const { bus } = this.ports;
    this.#subscriptions = [
      await bus.subscribe({
        topic: 'messages',
        group: 'delivery',
        handle: (records) => this.consume(records.map(({ value }) => value)),
      }),
      await bus.subscribe({
        topic: 'directory',
        group: 'delivery',
        handle: async (records) => {
          for (const { value } of records) await this.#announce(value);
        },
      }),
    ];
  }

  async stop(): Promise<void> {
    await Promise.all(this.#subscriptions.map((subscription) => subscription.close()));
  }

  /** From the bus: idempotent. */
  consume(records: readonly MessagesRecord[]): Promise<void> {
    return this.#inTurn(records, 'bus');
  }

  /** By a call of routing: pushed to those who are connected, at once; the bus brings the rest when it is back. */
  deliver(records: readonly MessagesRecord[]): Promise<void> {
    return this.#inTurn(records, 'call');
  }

  async expects(conversationIds: readonly ConversationId[]): Promise<ReadonlyMap<ConversationId, Seq>> {
    const expected = new Map<ConversationId, Seq>();
    for (const id of conversationIds) {
      const next = this.#expected(id, 'call');
      if (next !== undefined) expected.set(id, next);
    }
    return expected;
  }

  async #inTurn(records: readonly MessagesRecord[], via: Via): Promise<void> {
    const ids = new Set(records.map(({ conversationId }) => conversationId));
    const before = [...ids].map((id) => this.#turns.get(id));
    const { promise: turn, resolve: done } = Promise.withResolvers<void>();
    for (const id of ids) this.#turns.set(id, turn);
    await Promise.all(before);
    try {
      await this.#deliver(records, via);
    } finally {
      for (const id of ids) if (this.#turns.get(id) === turn) this.#turns.delete(id);
      done();
    }
  }

  /** Idempotent: what was delivered before is left out, what is missing in between is read from the log. */
  async #deliver(records: readonly MessagesRecord[], via: Via): Promise<void> {
    const addressed: Addressed[] = [];
    // Positions count as delivered only once everything below is done: what throws is delivered again.
    const next = new Map<ConversationId, Seq>();
    const failures: unknown[] = [];
    for (const record of records) {
      try {
        addressed.push(...(await this.#address(record, next, via)));
      } catch (error) {
        // Others do not wait for a conversation of which the directory cannot tell the members now.
        if (!isUnavailable(error)) throw error;
        failures.push(error);
        next.delete(record.conversationId);
      }
    }
    await this.#outbox.send(addressed, via === 'bus');
    const reached = via === 'bus' ? this.#next : this.#pushed;
    for (const [conversationId, due] of next) reached.set(conversationId, due);
    this.#observe(records);
    if (failures.length > 0) throw failures[0];
  }

  async #address(record: MessagesRecord, next: Map<ConversationId, Seq>, via: Via): Promise<readonly Addressed[]> {
    const due = await this.#due(record, next, via);
    const pushedTo = via === 'bus' ? (this.#pushed.get(record.conversationId) ?? 0) : 0;
    const entries = due.filter(({ entry }) => entry.seq >= pushedTo);
    const before = due.filter(({ entry }) => entry.seq < pushedTo);
    const unheard = before.length === 0 ? [] : await this.#fanOut.unheard(record, before);
    if (entries.length === 0) return unheard;
    const { tracing } = this.ports.context;
    const received = this.#received(record, entries);
    const span = tracing.batch('delivery', 'fan out', received, {
      'parley.conversation_id': record.conversationId,
      'parley.entries': entries.length,
    });
    try {
      const addressed = await this.#fanOut.address(record, span.handOn(received));
      this.#metrics.entries.inc({ fanout: record.type === 'channel' ? 'read' : 'write' }, entries.length);
      return [...unheard, ...addressed];
    } finally {
      span.end();
    }
  }

  /** From when routing handed them to the bus until now is a step of its own. */
  #received({ publishedAtMs }: MessagesRecord, entries: readonly PublishedEntry[]): readonly PublishedEntry[] {
    if (publishedAtMs === undefined) return entries;
    const span = this.ports.context.tracing.batch('delivery', 'wait on the bus', entries, {}, publishedAtMs);
    span.end();
    return span.handOn(entries);
  }

  #observe(records: readonly MessagesRecord[]): void {
    const nowMs = this.ports.context.clock.now();
    for (const { entries } of records) {
      for (const { receivedAtMs } of entries) {
        if (receivedAtMs > 0) this.#metrics.fanoutSeconds.observe(Math.max(0, nowMs - receivedAtMs) / 1_000);
      }
    }
  }

  async #due(record: MessagesRecord, pending: Map<ConversationId, Seq>, via: Via): Promise<readonly PublishedEntry[]> {
    const { conversationId, entries } = record;
    const first = entries[0];
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return [];
    const next = pending.get(conversationId) ?? this.#expected(conversationId, via);
    pending.set(conversationId, seq(Math.max(next ?? 0, last.entry.seq + 1)));
    if (next === undefined || first.entry.seq === next) return entries;
    if (first.entry.seq < next) {
      const due = entries.filter(({ entry }) => entry.seq >= next);
      this.#metrics.repeated.inc(entries.length - due.length);
      return due;
    }
    this.#metrics.gaps.inc();
    const missed = await this.ports.log.read(conversationId, {
      after: seq(Math.max(next - 1, first.entry.seq - 1 - GAP_MAX)),
      upTo: seq(first.entry.seq - 1),
      limit: GAP_MAX,
    });
    // Not below what it was: a room that has not applied that membership has to ask before it delivers.
    let prevMemberSeq = missed[0] === undefined ? seq(0) : seq(Math.min(missed[0].memberSeq, missed[0].entry.seq - 1));
    const between = missed.map((stored): PublishedEntry => {
      const published = { ...stored, prevMemberSeq, receivedAtMs: 0 };
      prevMemberSeq = stored.memberSeq;
      return published;
    });
    return [...between, ...entries];
  }

  /** The next position that is due; undefined for a conversation that this instance has not seen. */
  #expected(conversationId: ConversationId, via: Via): Seq | undefined {
    const next = this.#next.get(conversationId);
    if (via === 'bus') return next;
    const pushed = this.#pushed.get(conversationId);
    return next === undefined || (pushed !== undefined && pushed > next) ? pushed : next;
  }

  async #announce(record: DirectoryRecord): Promise<void> {
    if (record.kind !== 'conversation.created') return;
    const { workspaceId, conversation, members } = record;
    const addressed: Addressed[] = [];
    const online = await this.ports.sessions.lookup(
      workspaceId,
      members.map(({ userId }) => userId),
    );
    for (const userId of online.keys()) {
      const actor: Actor = { workspaceId, userId };
      const view = await this.ports.directory.conversationFor(actor, conversation.id);
      if (view === null) continue;
      addressed.push({
        push: {
          workspaceId,
          userIds: [userId],
          frames: [{ event: 'conversation.created', data: JSON.stringify(view) }],
          receivedAtMs: 0,
          ...(conversation.type === 'channel'
            ? {
                room: {
                  op: 'join',
                  channel: { conversationId: conversation.id, joinedSeq: seq(0), appliedSeq: seq(0) },
                },
              }
            : {}),
        },
        inbox: [],
        authorId: null,
      });
    }
    await this.#outbox.send(addressed);
  }
}
