import type { DirectoryLink } from '@parley/contracts';
import { ParleyError, seq } from '@parley/contracts';
import type { Directory } from '@parley/directory';

import type { ConversationViews } from './conversation-views.js';
import type { Positions } from './positions.js';
import type { Projection } from './projection.js';
import type { Sync } from './sync.js';

export interface DirectoryLinkPorts {
  readonly directory: Directory;
  readonly projection: Projection;
  readonly views: ConversationViews;
  readonly positions: Positions;
  readonly sync: Sync;
}

/** The directory as the other services see it. */
export function directoryLink({ directory, projection, views, positions, sync }: DirectoryLinkPorts): DirectoryLink {
  return {
    conversation: (id) => directory.conversation(id),
    async memberships(id, userIds, atLeast) {
      const facts = await projection.facts(id, atLeast);
      const members = await directory.memberships(id, userIds);
      return { appliedSeq: facts?.appliedSeq ?? seq(0), members };
    },
    async allMemberships(id, atLeast) {
      const facts = await projection.facts(id, atLeast);
      return { appliedSeq: facts?.appliedSeq ?? seq(0), members: await directory.allMemberships(id) };
    },
    async channelsOf(actor) {
      const all = await views.memberships(actor);
      return all
        .filter(({ membership }) => membership.conversation.type === 'channel')
        .map(({ membership: { conversation, joinedSeq } }) => ({
          conversationId: conversation.id,
          joinedSeq,
          appliedSeq: conversation.appliedSeq,
        }));
    },
    acquainted: (actor, userIds) => directory.acquainted(actor.workspaceId, actor.userId, userIds),
    sync: (actor, body) => sync.all(actor, body),
    mark: (actor, { kind, conversationId, seq: at }, origin) => positions.mark(actor, conversationId, kind, at, origin),
    async conversationFor(actor, id) {
      try {
        return await views.one(actor, id);
      } catch (error) {
        if (error instanceof ParleyError && error.code === 'not_found') return null;
        throw error;
      }
    },
  };
}
