import {
  type Actor,
  type ConversationFacts,
  type ConversationId,
  ParleyError,
  type Role,
  type Seq,
} from '@parley/contracts';
import { currentInterval, type SeqRange, visibleRanges } from '@parley/conversation';
import type { LogHead } from '@parley/conversation-log';
import type { Directory } from '@parley/directory';

import type { Projection } from './projection.js';

/** What a member may read of a conversation, as of the log's head. */
export interface ReadAccess {
  readonly facts: ConversationFacts;
  readonly head: LogHead;
  readonly role: Role;
  readonly joinedSeq: Seq;
  readonly ranges: readonly SeqRange[];
}

export const notFound = (): ParleyError => new ParleyError('not_found', 'There is no such conversation');

/** Throws `not_found` for strangers and former members alike: they learn nothing, not even that it exists. */
export async function readAccess(
  projection: Projection,
  directory: Directory,
  actor: Actor,
  id: ConversationId,
): Promise<ReadAccess> {
  const { head, facts } = await projection.current(id);
  if (facts === null || facts.workspaceId !== actor.workspaceId || facts.deletedAt !== null) throw notFound();
  const intervals = (await directory.memberships(id, [actor.userId])).get(actor.userId) ?? [];
  const current = currentInterval(intervals);
  if (current === undefined) throw notFound();
  return {
    facts,
    head,
    role: current.role,
    joinedSeq: current.joinedSeq,
    ranges: visibleRanges(facts.history, intervals),
  };
}
