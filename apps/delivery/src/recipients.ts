import type { ConversationId, DirectoryLink, MemberRow, MembershipInterval, Seq, UserId } from '@parley/contracts';
import QuickLRU from 'quick-lru';

interface Known {
  readonly appliedSeq: Seq;
  readonly intervals: ReadonlyMap<UserId, readonly MembershipInterval[]>;
}

/**
 * Members of conversations that fan out on write, as of any entry up to the last membership entry that was looked at.
 * Intervals are kept with their ends, so an older entry can be judged by its own position.
 */
export class Recipients {
  readonly #known: QuickLRU<ConversationId, Known>;

  constructor(
    private readonly directory: DirectoryLink,
    maxConversations: number,
  ) {
    this.#known = new QuickLRU({ maxSize: maxConversations });
  }

  /** Everyone who was a member as of `memberSeq` or before; never behind it. */
  async of(
    conversationId: ConversationId,
    memberSeq: Seq,
  ): Promise<ReadonlyMap<UserId, readonly MembershipInterval[]>> {
    const known = this.#known.get(conversationId);
    if (known !== undefined && known.appliedSeq >= memberSeq) return known.intervals;
    const { appliedSeq, members } = await this.directory.allMemberships(conversationId, memberSeq);
    const intervals = byUser(members);
    this.#known.set(conversationId, { appliedSeq, intervals });
    return intervals;
  }
}

function byUser(members: readonly MemberRow[]): Map<UserId, MembershipInterval[]> {
  const intervals = new Map<UserId, MembershipInterval[]>();
  for (const { userId, ...interval } of members) {
    const of = intervals.get(userId);
    if (of === undefined) intervals.set(userId, [interval]);
    else of.push(interval);
  }
  return intervals;
}
