import {
  type ConversationId,
  type DirectoryLink,
  type Frame,
  isUnavailable,
  MENTION_ALL,
  type MessagesRecord,
  type PublishedEntry,
  type RoomPush,
  type Seq,
  seq,
  type UserId,
} from '@parley/contracts';
import { covers, visibleRanges } from '@parley/conversation';
import type { ConversationLog } from '@parley/conversation-log';
import type { FrameBus } from '@parley/frame-bus';
import { Outage, type ServiceContext } from '@parley/service-kit';

import { affectedUsers, entryFrame, threadFrame } from './frames.js';
import type { Addressed, Outbox } from './outbox.js';
import type { Recipients } from './recipients.js';

/** The bus is asked again once a second; servers are in their rooms again within a second of its return, mostly. */
const FRAMES_DOUBTFUL_MS = 5_000;

export interface FanOutPorts {
  readonly log: ConversationLog;
  readonly directory: DirectoryLink;
  readonly frames: FrameBus;
  readonly context: ServiceContext;
}

/** Who gets what of an entry: on write by name, on read through the channel's room. */
export class FanOut {
  readonly #framesAway: Outage;

  constructor(
    private readonly ports: FanOutPorts,
    private readonly outbox: Outbox,
    private readonly recipients: Recipients,
  ) {
    this.#framesAway = new Outage(ports.context.clock);
  }

  /** What remains to be pushed by name; what goes to a room has gone there. */
  address(record: MessagesRecord, entries: readonly PublishedEntry[]): Promise<readonly Addressed[]> {
    return record.type === 'channel' ? this.#toChannel(record, entries) : this.#toMembers(record, entries);
  }

  /** What was pushed by a call already: only those who were not reached hear of it now, by inbox. */
  async unheard(record: MessagesRecord, entries: readonly PublishedEntry[]): Promise<readonly Addressed[]> {
    if (record.type === 'channel') {
      return (await Promise.all(entries.map((entry) => this.#mentioned(record, entry)))).flat();
    }
    const addressed = await this.#toMembers(record, entries);
    return addressed
      .filter(({ inbox }) => inbox.length > 0)
      .map((item) => ({ ...item, push: { ...item.push, frames: [] } }));
  }

  /** On read: one copy to each chat server with a connected member; by name only to those whom an entry adds or removes. */
  async #toChannel(record: MessagesRecord, entries: readonly PublishedEntry[]): Promise<readonly Addressed[]> {
    const { workspaceId, conversationId, history } = record;
    const addressed: Addressed[] = [];
    const views = this.#viewsForAdded(record, entries);
    const due: RoomPush[] = [];
    for (const published of entries) {
      const { entry, memberSeq, prevMemberSeq, originSessionId, receivedAtMs, traceparent } = published;
      const affected = affectedUsers(entry);
      const frame = entryFrame(published);
      due.push({
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
        await this.#toRoom(due.splice(0));
        const view = await views.get(entry.seq);
        await this.outbox.send([this.#toAffected(record, published, frame, affected, view ?? null)]);
      }
      addressed.push(...(await this.#mentioned(record, published)));
    }
    for (const { frame, parentSeq, memberSeq } of await this.#threads(conversationId, entries)) {
      due.push({
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
    await this.#toRoom(due);
    return addressed;
  }

  /**
   * Over the bus between chat servers, all at once: what is published by one is in order. While the bus is away, to
   * every chat server by a call.
   */
  async #toRoom(pushes: readonly RoomPush[]): Promise<void> {
    const left = this.#framesAway.known ? pushes : await this.#publish(pushes);
    // By call as well for a while: chat servers may not have joined their rooms again.
    const byCall = this.#framesAway.metWithin(FRAMES_DOUBTFUL_MS) ? pushes : left;
    if (byCall.length > 0) await this.outbox.sendRoom(byCall);
  }

  /** Those that the bus did not take. */
  async #publish(pushes: readonly RoomPush[]): Promise<readonly RoomPush[]> {
    const { frames, context } = this.ports;
    const span = context.tracing.batch('delivery', 'publish to room', pushes);
    const outcomes = await Promise.allSettled(
      span.handOn(pushes).map((push) => frames.publish(`c:${push.conversationId}`, push)),
    );
    span.end();
    return pushes.filter((_, index) => {
      const outcome = outcomes[index];
      if (outcome?.status !== 'rejected') return false;
      const error: unknown = outcome.reason;
      if (!isUnavailable(error)) throw error;
      if (!this.#framesAway.known) context.log.warn({ err: error }, 'the frame bus is away');
      this.#framesAway.began();
      return true;
    });
  }

  /** What those whom entries add are shown of the conversation, asked for together. */
  #viewsForAdded(
    { workspaceId, conversationId }: MessagesRecord,
    entries: readonly PublishedEntry[],
  ): ReadonlyMap<Seq, Promise<object | null>> {
    const views = new Map<Seq, Promise<object | null>>();
    for (const { entry } of entries) {
      if (entry.kind !== 'member' || entry.op !== 'added') continue;
      const [userId] = entry.userIds;
      if (userId === undefined) continue;
      const view = this.ports.directory.conversationFor({ workspaceId, userId }, conversationId);
      // Heard where it is needed; what comes before it may fail first.
      view.catch(() => undefined);
      views.set(entry.seq, view);
    }
    return views;
  }

  /** Added users get the conversation and then the entry; removed ones the entry, and then lose the conversation. */
  #toAffected(
    record: MessagesRecord,
    { entry, receivedAtMs }: PublishedEntry,
    frame: Frame,
    userIds: readonly UserId[],
    view: object | null,
  ): Addressed {
    const { workspaceId, conversationId } = record;
    const added = entry.kind === 'member' && entry.op === 'added';
    const frames: Frame[] = [];
    if (view !== null) frames.push({ event: 'conversation.created', data: JSON.stringify(view) });
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
    const intervals = await this.recipients.of(conversationId, last.memberSeq);
    // Live, an entry is for those who were members as of it, also where later ones may read it.
    const ranges = [...intervals].map(([userId, of]) => ({
      userId,
      present: visibleRanges('joined', of),
      visible: visibleRanges(history, of),
    }));
    const addressed: Addressed[] = [];
    const views = this.#viewsForAdded(record, entries);
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
      if (affected.length > 0) {
        const view = (await views.get(entry.seq)) ?? null;
        addressed.push(this.#toAffected(record, published, frame, affected, view));
      }
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
}

function inboxOf(
  { conversationId }: MessagesRecord,
  entry: PublishedEntry['entry'],
  reason: 'direct' | 'group' | 'mention',
) {
  return { conversationId, seq: entry.seq, senderId: entry.senderId, reason, sentAt: entry.sentAt };
}
