import { type Actor, type Conversation, type ConversationId, type Seq, seq } from '@parley/contracts';
import { covers, foldMessage, viewMessage, visibleRanges } from '@parley/conversation';
import { type ConversationLog, EMPTY_HEAD, type LogHead, type Tally } from '@parley/conversation-log';
import type { Directory, MembershipView } from '@parley/directory';

import { notFound } from './access.js';
import type { Projection } from './projection.js';

/** A user's conversations as lists show them: positions, exact counts, the last message. */
export class ConversationViews {
  constructor(
    private readonly directory: Directory,
    private readonly log: ConversationLog,
    private readonly projection: Projection,
  ) {}

  async one(actor: Actor, id: ConversationId): Promise<Conversation> {
    const { head, facts } = await this.projection.current(id);
    if (facts === null || facts.workspaceId !== actor.workspaceId || facts.deletedAt !== null) throw notFound();
    const membership = await this.directory.membershipOf(actor.userId, id);
    if (membership !== null) {
      const [view] = await this.#views(actor, [{ membership, head }]);
      if (view !== undefined) return view;
    }
    if (facts.visibility !== 'public') throw notFound();
    return describe({ ...facts, head, role: undefined, peerId: undefined, readSeq: head.seq, tally: NOTHING }, null);
  }

  /** All of the actor's memberships with their heads, none of them behind its log. */
  async memberships(actor: Actor): Promise<readonly { membership: MembershipView; head: LogHead }[]> {
    const memberships = await this.directory.conversationsOf(actor.workspaceId, actor.userId);
    const heads = await this.log.heads(memberships.map(({ conversation }) => conversation.id));
    const lagging = memberships.filter(
      ({ conversation: { id, appliedSeq } }) => appliedSeq < (heads.get(id) ?? EMPTY_HEAD).memberSeq,
    );
    if (lagging.length > 0) {
      await Promise.all(
        lagging.map(({ conversation: { id } }) => this.projection.facts(id, (heads.get(id) ?? EMPTY_HEAD).memberSeq)),
      );
      const current = await this.directory.conversationsOf(actor.workspaceId, actor.userId);
      return current.map((membership) => ({ membership, head: heads.get(membership.conversation.id) ?? EMPTY_HEAD }));
    }
    return memberships.map((membership) => ({ membership, head: heads.get(membership.conversation.id) ?? EMPTY_HEAD }));
  }

  /** Last changed first. The cursor is the place of the last item, so that pages neither repeat nor skip what stays put. */
  async list(actor: Actor, limit: number, cursor: string | undefined) {
    const all = (await this.memberships(actor))
      .map((item) => ({ ...item, key: sortKey(item) }))
      .sort((a, b) => (a.key < b.key ? 1 : -1));
    const start = cursor === undefined ? 0 : all.findIndex(({ key }) => key < cursor);
    const page = start === -1 ? [] : all.slice(start, start + limit);
    const more = start !== -1 && all.length > start + limit;
    return { items: await this.#views(actor, page), nextCursor: more ? (page.at(-1)?.key ?? null) : null };
  }

  views(actor: Actor, ids: readonly { membership: MembershipView; head: LogHead }[]): Promise<Conversation[]> {
    return this.#views(actor, ids);
  }

  async #views(
    actor: Actor,
    items: readonly { readonly membership: MembershipView; readonly head: LogHead }[],
  ): Promise<Conversation[]> {
    const tallies = await this.log.tally(
      items.map(({ membership: { conversation, readSeq } }) => ({
        conversationId: conversation.id,
        userId: actor.userId,
        afterSeq: readSeq,
      })),
    );
    return Promise.all(
      items.map(async ({ membership, head }, index) => {
        const { conversation, role, readSeq, peerId } = membership;
        const last = await this.#lastMessage(actor, membership, head);
        return describe(
          { ...conversation, head, role, peerId: peerId ?? undefined, readSeq, tally: tallies[index] ?? NOTHING },
          last,
        );
      }),
    );
  }

  async #lastMessage(actor: Actor, { conversation, joinedSeq, role }: MembershipView, head: LogHead) {
    const at = head.lastMessageSeq;
    const ranges = visibleRanges(conversation.history, [{ role, joinedSeq, leftSeq: null }]);
    if (at === 0 || !covers(ranges, at)) return null;
    const [found, changes] = await Promise.all([
      this.log.read(conversation.id, { after: seq(at - 1), upTo: at, limit: 1 }),
      this.log.readChanges(conversation.id, { from: at, to: at }),
    ]);
    const entry = found[0]?.entry;
    if (entry?.kind !== 'message') return null;
    return viewMessage(
      foldMessage(
        entry,
        changes.map((change) => change.entry),
      ),
      actor.userId,
    );
  }
}

const NOTHING: Tally = { unread: 0, mentions: 0 };

function updatedAtMs({ membership, head }: { membership: MembershipView; head: LogHead }): number {
  return Math.max(head.lastAtMs, Date.parse(membership.conversation.createdAt));
}

function sortKey(item: { membership: MembershipView; head: LogHead }): string {
  return `${String(updatedAtMs(item)).padStart(14, '0')}_${item.membership.conversation.id}`;
}

function describe(
  of: MembershipView['conversation'] & {
    readonly head: LogHead;
    readonly role: Conversation['role'];
    readonly peerId: Conversation['peerId'];
    readonly readSeq: Seq;
    readonly tally: Tally;
  },
  lastMessage: Conversation['lastMessage'],
): Conversation {
  const { id, type, name, topic, visibility, history, createdBy, createdAt, memberCount, head } = of;
  return {
    id,
    type,
    name,
    topic,
    visibility,
    history,
    createdBy,
    createdAt,
    updatedAt: head.lastAtMs === 0 ? createdAt : new Date(Math.max(head.lastAtMs, Date.parse(createdAt))).toISOString(),
    memberCount,
    head: head.seq,
    readSeq: of.readSeq,
    unread: of.tally.unread,
    mentions: of.tally.mentions,
    lastMessage,
    ...(of.role === undefined ? {} : { role: of.role }),
    ...(of.peerId === undefined ? {} : { peerId: of.peerId }),
  };
}
