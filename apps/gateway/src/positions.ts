import {
  type Actor,
  type ConversationId,
  ParleyError,
  type ReadState,
  type Seq,
  seq,
  type ServerEvent,
  type SessionId,
  type UserId,
} from '@parley/contracts';
import type { ConversationLog } from '@parley/conversation-log';
import type { Directory } from '@parley/directory';
import { type FrameBus, publishLossy } from '@parley/frame-bus';
import type { Clock } from '@parley/service-kit';

import { notFound, type ReadAccess, readAccess } from './access.js';
import type { Projection } from './projection.js';

type MarkKind = 'read' | 'delivered' | 'unread';

/** Read and delivered positions: stored, counted from the log, told to those who may know. */
export class Positions {
  constructor(
    private readonly directory: Directory,
    private readonly log: ConversationLog,
    private readonly projection: Projection,
    private readonly frames: FrameBus,
    private readonly clock: Clock,
  ) {}

  async mark(
    actor: Actor,
    conversationId: ConversationId,
    kind: MarkKind,
    at: Seq,
    originSessionId?: SessionId,
  ): Promise<ReadState> {
    const access = await readAccess(this.projection, this.directory, actor, conversationId);
    const marked = await this.directory.mark(actor.userId, conversationId, {
      kind,
      seq: bounded(kind, at, access),
      at: new Date(this.clock.now()).toISOString(),
    });
    if (marked === null) throw notFound();
    if (marked.moved) {
      const event = kind === 'delivered' ? 'delivered.updated' : 'read.updated';
      const position = kind === 'delivered' ? marked.deliveredSeq : marked.readSeq;
      await this.#tell(actor, access, event, position, kind === 'unread', originSessionId);
    }
    const [tally] = await this.log.tally([{ conversationId, userId: actor.userId, afterSeq: marked.readSeq }]);
    if (tally === undefined) throw new ParleyError('internal', 'The log did not count');
    return { readSeq: marked.readSeq, unread: tally.unread };
  }

  /** Members of direct conversations and groups see each other's positions; in channels only one's own devices do. */
  async #tell(
    actor: Actor,
    { facts }: ReadAccess,
    event: ServerEvent,
    at: Seq,
    own: boolean,
    originSessionId: SessionId | undefined,
  ): Promise<void> {
    const data = JSON.stringify({ conversationId: facts.id, userId: actor.userId, seq: at });
    const frame = {
      workspaceId: actor.workspaceId,
      conversationId: facts.id,
      history: facts.history,
      frames: [{ event, data }],
      seq: seq(0),
      showsSeq: seq(0),
      memberSeq: seq(0),
      prevMemberSeq: seq(0),
      ...(originSessionId === undefined ? {} : { exceptSessionId: originSessionId }),
      receivedAtMs: 0,
    };
    const audience = own || facts.type === 'channel' ? [actor.userId] : await this.#members(facts.id);
    await Promise.all(audience.map((userId) => publishLossy(this.frames, `u:${userId}`, frame)));
  }

  async #members(conversationId: ConversationId): Promise<UserId[]> {
    const members = await this.directory.allMemberships(conversationId);
    return members.filter(({ leftSeq }) => leftSeq === null).map(({ userId }) => userId);
  }
}

/** Beyond the head is the head; nothing is unread from before one could see. */
function bounded(kind: MarkKind, at: Seq, { head, joinedSeq, facts }: ReadAccess): Seq {
  if (kind !== 'unread') return seq(Math.min(at, head.seq));
  const floor = facts.history === 'joined' ? joinedSeq : 0;
  return seq(Math.max(floor, Math.min(at, head.seq + 1) - 1));
}
