import {
  type ConversationId,
  type DirectoryLink,
  ParleyError,
  seq,
  type UserId,
  type WorkspaceId,
} from '@parley/contracts';
import { currentInterval } from '@parley/conversation';
import { type FrameBus, publishLossy, type RoomFrame } from '@parley/frame-bus';
import type { Clock, Timer } from '@parley/service-kit';

import type { Session } from './session.js';

/** At most one start per person and conversation in this time. */
const START_EVERY_MS = 3_000;
/** The stop comes by itself after this. */
const STOP_AFTER_MS = 6_000;
/** People who may be typing here at once; beyond, starts are dropped. */
const TYPING_MAX = 20_000;

interface Typing {
  readonly startedMs: number;
  /** Was said to have stopped; remembered until the next start may be shown. */
  stopped: boolean;
  timer: Timer;
  publish: (event: 'typing.start' | 'typing.stop') => Promise<void>;
}

/** Typing: lossy, throttled, never stored. */
export class TypingIndicator {
  readonly #typing = new Map<string, Typing>();

  constructor(
    private readonly directory: DirectoryLink,
    private readonly frames: FrameBus,
    private readonly clock: Clock,
  ) {}

  async start(session: Session, conversationId: ConversationId): Promise<void> {
    const key = `${session.userId} ${conversationId}`;
    const known = this.#typing.get(key);
    const nowMs = this.clock.now();
    if (known !== undefined && nowMs - known.startedMs < START_EVERY_MS) {
      if (!known.stopped) this.#stopLater(key, known);
      return;
    }
    const publish = await this.#audience(session, conversationId);
    if (this.#typing.size >= TYPING_MAX) return;
    known?.timer.cancel();
    const typing: Typing = {
      startedMs: nowMs,
      stopped: false,
      timer: { cancel: () => undefined },
      publish,
    };
    this.#typing.set(key, typing);
    this.#stopLater(key, typing);
    await publish('typing.start');
  }

  async stop(session: Session, conversationId: ConversationId): Promise<void> {
    const key = `${session.userId} ${conversationId}`;
    const known = this.#typing.get(key);
    if (known === undefined || known.stopped) {
      // Nothing to say; but a stranger still hears that there is no such conversation.
      await this.#audience(session, conversationId);
      return;
    }
    known.timer.cancel();
    known.stopped = true;
    known.timer = this.clock.after(START_EVERY_MS, () => void this.#typing.delete(key));
    await known.publish('typing.stop');
  }

  close(): void {
    for (const { timer } of this.#typing.values()) timer.cancel();
    this.#typing.clear();
  }

  #stopLater(key: string, typing: Typing): void {
    typing.timer.cancel();
    typing.timer = this.clock.after(STOP_AFTER_MS, () => {
      this.#typing.delete(key);
      void typing.publish('typing.stop').catch(() => undefined);
    });
  }

  /** Who hears of it, by the membership of this moment. */
  async #audience(session: Session, conversationId: ConversationId): Promise<Typing['publish']> {
    const { workspaceId, userId } = session;
    const facts = await this.directory.conversation(conversationId);
    if (facts === null || facts.workspaceId !== workspaceId || facts.deletedAt !== null) throw notFound();
    if (facts.type === 'channel') {
      const { members } = await this.directory.memberships(conversationId, [userId], seq(0));
      if (currentInterval(members.get(userId)) === undefined) throw notFound();
      return (event) =>
        publishLossy(this.frames, `c:${conversationId}`, typingFrame(event, workspaceId, conversationId, userId));
    }
    const { members } = await this.directory.allMemberships(conversationId, seq(0));
    const present = members.filter(({ leftSeq }) => leftSeq === null).map((member) => member.userId);
    if (!present.includes(userId)) throw notFound();
    return async (event) => {
      const frame = typingFrame(event, workspaceId, conversationId, userId);
      await Promise.all(
        present.filter((other) => other !== userId).map((other) => publishLossy(this.frames, `u:${other}`, frame)),
      );
    };
  }
}

const notFound = (): ParleyError => new ParleyError('not_found', 'There is no such conversation');

function typingFrame(
  event: 'typing.start' | 'typing.stop',
  workspaceId: WorkspaceId,
  conversationId: ConversationId,
  userId: UserId,
): RoomFrame {
  return {
    workspaceId,
    conversationId,
    history: 'all',
    frames: [{ event, data: JSON.stringify({ conversationId, userId }) }],
    seq: seq(0),
    showsSeq: seq(0),
    memberSeq: seq(0),
    prevMemberSeq: seq(0),
    exceptUserIds: [userId],
    receivedAtMs: 0,
  };
}
