import {
  type Actor,
  type ConversationId,
  type DirectoryLink,
  type DirectoryRecord,
  type Frame,
  MENTION_ALL,
  type MessagesRecord,
  type PublishedEntry,
  type Seq,
  seq,
  type UserId,
} from '@parley/contracts';
import { covers, visibleRanges } from '@parley/conversation';
import type { ConversationLog } from '@parley/conversation-log';
import type { Subscription } from '@parley/event-bus';
import type { FrameBus } from '@parley/frame-bus';
import type { ServiceContext } from '@parley/service-kit';
import QuickLRU from 'quick-lru';

import type { DeliveryConfig } from './config.js';
import { affectedUsers, entryFrame, threadFrame } from './frames.js';
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

/** Turns each accepted entry into exactly one event for those who may see it, in order of `seq`. */
export class DeliveryService {
  readonly #metrics: DeliveryMetrics;
  readonly #outbox: Outbox;
  readonly #recipients: Recipients;
  /** The next position due of each conversation that this instance has seen. */
  readonly #next: QuickLRU<ConversationId, Seq>;
  #subscriptions: Subscription[] = [];

  constructor(
    private readonly ports: DeliveryPorts,
    config: DeliveryConfig,
  ) {
    this.#metrics = deliveryMetrics(ports.context.metrics);
    this.#outbox = new Outbox({ ...ports, metrics: this.#metrics });
    this.#recipients = new Recipients(ports.directory, config.PARLEY_DELIVERY_CONVERSATIONS_MAX);
    this.#next = new QuickLRU({ maxSize: config.PARLEY_DELIVERY_CONVERSATIONS_MAX });
  }

  async start(): Promise<void> {
    const { bus } = this.ports;
    this.#subscriptions = [
      await bus.subscribe({
        topic: 'messages',
        group: 'delivery',
        handle: (records) => this.deliver(records.map(({ value }) => value)),
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

  /** Idempotent: what was delivered before is left out, what is missing in between is read from the log. */
  async deliver(records: readonly MessagesRecord[]): Promise<void> {
    const addressed: Addressed[] = [];
    // Positions count as delivered only once everything below is done: what throws is delivered again.
    const next = new Map<ConversationId, Seq>();
    for (const record of records) {
      const entries = await this.#due(record, next);
      if (entries.length === 0) continue;
      const span = this.ports.context.tracing.span('delivery', 'fan out', entries[0]?.traceparent, {
        'parley.conversation_id': record.conversationId,
        'parley.entries': entries.length,
      });
      const traced = entries.map((entry) =>
        entry.traceparent === undefined || span.traceparent === undefined
          ? entry
          : { ...entry, traceparent: span.traceparent },
      );
      if (record.type === 'channel') addressed.push(...(await this.#toChannel(record, traced)));
      else addressed.push(...(await this.#toMembers(record, traced)));
      this.#metrics.entries.inc({ fanout: record.type === 'channel' ? 'read' : 'write' }, entries.length);
      span.end();
    }
    await this.#outbox.send(addressed);
    for (const [conversationId, due] of next) this.#next.set(conversationId, due);
    const nowMs = this.ports.context.clock.now();
    for (const { entries } of records) {
      for (const { receivedAtMs } of entries) {
        if (receivedAtMs > 0) this.#metrics.fanoutSeconds.observe(Math.max(0, nowMs - receivedAtMs) / 1_000);
      }
    }
  }

  async #due(record: MessagesRecord, pending: Map<ConversationId, Seq>): Promise<readonly PublishedEntry[]> {
    const { conversationId, entries } = record;
    const first = entries[0];
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return [];
    const next = pending.get(conversationId) ?? this.#next.get(conversationId);
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

  /** On read: one copy to each chat server with a connected member; by name only to those whom an entry adds or removes. */
  async #toChannel(record: MessagesRecord, entries: readonly PublishedEntry[]): Promise<readonly Addressed[]> {
    const { workspaceId, conversationId, history } = record;
    const addressed: Addressed[] = [];
    for (const published of entries) {
      const { entry, memberSeq, prevMemberSeq, originSessionId, receivedAtMs, traceparent } = published;
      const affected = affectedUsers(entry);
      const frame = entryFrame(published);
      await this.ports.frames.publish(`c:${conversationId}`, {
        workspaceId,
        conversationId,
        history,
        frames: [frame],
        seq: entry.seq,
        showsSeq: entry.seq,
        memberSeq,
        prevMemberSeq,
        ...(affected.length === 0 ? {} : { exceptUserIds: affected }),
        ...(entry.kind === 'member' && entry.op === 'removed' ? { removes: entry.userIds } : {}),
        ...(originSessionId === undefined ? {} : { exceptSessionId: originSessionId }),
        receivedAtMs,
        ...(traceparent === undefined ? {} : { traceparent }),
      });
      if (affected.length > 0) {
        // At once: those who are added must be in the room before the next entry is published to it.
        await this.#outbox.send([await this.#toAffected(record, published, frame, affected)]);
      }
      addressed.push(...(await this.#mentioned(record, published)));
    }
    for (const { frame, parentSeq, memberSeq } of await this.#threads(conversationId, entries)) {
      await this.ports.frames.publish(`c:${conversationId}`, {
        workspaceId,
        conversationId,
        history,
        frames: [frame],
        seq: seq(0),
        showsSeq: parentSeq,
        memberSeq,
        prevMemberSeq: memberSeq,
        receivedAtMs: 0,
      });
    }
    return addressed;
  }

  /** Added users get the conversation and then the entry; removed ones the entry, and then lose the conversation. */
  async #toAffected(
    record: MessagesRecord,
    { entry, receivedAtMs }: PublishedEntry,
    frame: Frame,
    userIds: readonly UserId[],
  ): Promise<Addressed> {
    const { workspaceId, conversationId } = record;
    const added = entry.kind === 'member' && entry.op === 'added';
    const first = userIds[0];
    const frames: Frame[] = [];
    if (added && first !== undefined) {
      const conversation = await this.ports.directory.conversationFor({ workspaceId, userId: first }, conversationId);
      if (conversation !== null) frames.push({ event: 'conversation.created', data: JSON.stringify(conversation) });
    }
    frames.push(frame);
    if (!added) frames.push({ event: 'conversation.deleted', data: JSON.stringify({ conversationId }) });
    const channel = record.type === 'channel';
    return {
      push: {
        workspaceId,
        userIds,
        frames,
        receivedAtMs,
        ...(channel
          ? {
              room: added
                ? {
                    op: 'join' as const,
                    channel: { conversationId, joinedSeq: entry.seq, appliedSeq: entry.seq },
                  }
                : { op: 'leave' as const, conversationId, asOf: entry.seq },
            }
          : {}),
      },
      inbox: [],
      authorId: null,
    };
  }

  /** Members of a channel who are offline hear of it only when they are mentioned by name. */
  async #mentioned(record: MessagesRecord, { entry, memberSeq }: PublishedEntry): Promise<readonly Addressed[]> {
    if (entry.kind !== 'message' || entry.mentions === undefined) return [];
    const named = entry.mentions.filter((mention) => !MENTION_ALL.has(mention)) as UserId[];
    if (named.length === 0) return [];
    // Whoever is mentioned without being a member hears nothing of it.
    const { members } = await this.ports.directory.memberships(record.conversationId, named, memberSeq);
    const userIds = named.filter((userId) =>
      covers(visibleRanges(record.history, members.get(userId) ?? []), entry.seq),
    );
    if (userIds.length === 0) return [];
    return [
      {
        push: { workspaceId: record.workspaceId, userIds, frames: [], receivedAtMs: 0 },
        inbox: [inboxOf(record, entry, 'mention')],
        authorId: entry.senderId,
      },
    ];
  }

  /** On write: to everyone who may see the entry, by name. */
  async #toMembers(record: MessagesRecord, entries: readonly PublishedEntry[]): Promise<readonly Addressed[]> {
    const { workspaceId, conversationId, history, type } = record;
    const last = entries.at(-1);
    if (last === undefined) return [];
    const intervals = await this.#recipients.of(conversationId, last.memberSeq);
    // Live, an entry is for those who were members as of it, also where later ones may read it.
    const ranges = [...intervals].map(([userId, of]) => ({
      userId,
      present: visibleRanges('joined', of),
      visible: visibleRanges(history, of),
    }));
    const addressed: Addressed[] = [];
    for (const published of entries) {
      const { entry, originSessionId, receivedAtMs, traceparent } = published;
      const affected = affectedUsers(entry);
      const frame = entryFrame(published);
      const userIds = ranges
        .filter(({ userId, present }) => !affected.includes(userId) && covers(present, entry.seq))
        .map(({ userId }) => userId);
      addressed.push({
        push: {
          workspaceId,
          userIds,
          frames: [frame],
          ...(originSessionId === undefined ? {} : { exceptSessionId: originSessionId }),
          receivedAtMs,
          ...(traceparent === undefined ? {} : { traceparent }),
        },
        inbox: entry.kind === 'message' ? [inboxOf(record, entry, type === 'direct' ? 'direct' : 'group')] : [],
        authorId: entry.senderId,
      });
      if (affected.length > 0) addressed.push(await this.#toAffected(record, published, frame, affected));
    }
    for (const { frame, parentSeq, replySeq } of await this.#threads(conversationId, entries)) {
      const userIds = ranges
        .filter(({ present, visible }) => covers(visible, parentSeq) && covers(present, replySeq))
        .map(({ userId }) => userId);
      addressed.push({ push: { workspaceId, userIds, frames: [frame], receivedAtMs: 0 }, inbox: [], authorId: null });
    }
    return addressed;
  }

  /** One `thread.updated` for each thread that these entries replied to. */
  async #threads(conversationId: ConversationId, entries: readonly PublishedEntry[]) {
    const replies = new Map<Seq, PublishedEntry>();
    for (const published of entries) {
      const { entry } = published;
      if (entry.kind === 'message' && entry.parentSeq !== undefined) replies.set(entry.parentSeq, published);
    }
    if (replies.size === 0) return [];
    const summaries = await this.ports.log.replySummaries(conversationId, [...replies.keys()]);
    return [...replies].flatMap(([parentSeq, { entry, memberSeq }]) => {
      const summary = summaries.get(parentSeq);
      if (summary === undefined) return [];
      const { count, lastReplyAt, participants } = summary;
      const payload = { conversationId, parentSeq, replyCount: count, lastReplyAt, participants: [...participants] };
      return [{ frame: threadFrame(payload), parentSeq, replySeq: entry.seq, memberSeq }];
    });
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

function inboxOf(
  { conversationId }: MessagesRecord,
  entry: PublishedEntry['entry'],
  reason: 'direct' | 'group' | 'mention',
) {
  return { conversationId, seq: entry.seq, senderId: entry.senderId, reason, sentAt: entry.sentAt };
}
