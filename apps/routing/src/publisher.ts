import { type ConversationId, type PublishedEntry, type Seq, seq } from '@parley/contracts';
import type { ConversationLog } from '@parley/conversation-log';
import type { EventBus } from '@parley/event-bus';
import type { ServiceContext } from '@parley/service-kit';

import type { RoutingMetrics } from './metrics.js';
import type { ConversationState } from './state.js';

const REPUBLISH_PAGE = 500;
/** Entries of one conversation that may be durable but not yet published; beyond, sends are refused `overloaded`. */
export const UNPUBLISHED_MAX = 50_000;

/** What publishing needs to know of a conversation. */
type Tracked = Pick<ConversationState, 'facts' | 'head'>;

interface Progress {
  /** Everything up to here was handed to the bus, in order. */
  handedSeq: Seq;
  /** Everything up to here was taken by the bus. */
  publishedSeq: Seq;
  /** What the log's seal says, as far as we know. */
  sealedSeq: Seq;
  /** The bus refused something: publish from `publishedSeq` again, from the log. */
  broken: boolean;
  republishing: boolean;
  /** Counts republications: what the bus says of an earlier round says nothing of this one. */
  round: number;
  /** What the bus says is taken in the order of handing over: that it has a later entry does not mean that it has this. */
  confirmed: Promise<void>;
  facts: Pick<ConversationState['facts'], 'workspaceId' | 'type' | 'history'>;
}

/**
 * What remains to be done after an append: publish the entries in order, and lazily seal the log up to what the bus
 * has taken. What the bus does not take is published again from the log; nothing waits for any of it.
 */
export class Publisher {
  readonly #progress = new Map<ConversationId, Progress>();

  constructor(
    private readonly log: ConversationLog,
    private readonly bus: EventBus,
    private readonly context: ServiceContext,
    private readonly metrics: RoutingMetrics,
  ) {}

  unpublished(conversationId: ConversationId, head: Seq): number {
    const progress = this.#progress.get(conversationId);
    return progress === undefined ? 0 : head - progress.publishedSeq;
  }

  get pending(): number {
    return this.#progress.size;
  }

  /** Entries that are durable since a moment ago. */
  appended(state: Tracked, entries: readonly PublishedEntry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const progress = this.#track(state, seq(first.entry.seq - 1));
    // Read from the log and handed on meanwhile.
    if ((entries.at(-1)?.entry.seq ?? 0) <= progress.handedSeq) return;
    if (progress.broken || progress.handedSeq !== first.entry.seq - 1) {
      progress.broken = true;
      return;
    }
    void this.#hand(state.facts.id, progress, entries);
  }

  /** A log was loaded: what another writer, an earlier life or a lost answer left unsealed is published again. */
  resume(state: Tracked): void {
    const progress = this.#track(state, state.head.sealedSeq);
    if (progress.handedSeq < state.head.seq) progress.broken = true;
  }

  /** Advances seals and repairs what the bus refused; called on a timer, and before stopping. */
  async settle(): Promise<void> {
    const all = [...this.#progress];
    await Promise.all(
      all.map(async ([conversationId, progress]) => {
        try {
          if (progress.broken && !progress.republishing) await this.#republish(conversationId, progress);
          if (progress.publishedSeq > progress.sealedSeq) {
            const upTo = progress.publishedSeq;
            await this.log.seal(conversationId, upTo);
            progress.sealedSeq = upTo;
          }
          if (!progress.broken && progress.handedSeq === progress.sealedSeq) this.#progress.delete(conversationId);
        } catch (error) {
          this.context.log.warn({ err: error, conversationId }, 'sealing is behind');
        }
      }),
    );
  }

  #track(state: Tracked, from: Seq): Progress {
    const { facts } = state;
    const known = this.#progress.get(facts.id);
    if (known !== undefined) {
      known.facts = facts;
      return known;
    }
    const progress: Progress = {
      handedSeq: from,
      publishedSeq: from,
      sealedSeq: state.head.sealedSeq,
      broken: false,
      republishing: false,
      round: 0,
      confirmed: Promise.resolve(),
      facts,
    };
    this.#progress.set(facts.id, progress);
    return progress;
  }

  #hand(conversationId: ConversationId, progress: Progress, entries: readonly PublishedEntry[]): Promise<void> {
    const last = entries.at(-1)?.entry.seq;
    if (last === undefined) return Promise.resolve();
    progress.handedSeq = last;
    const { workspaceId, type, history } = progress.facts;
    const value = { workspaceId, conversationId, type, history, entries };
    const { round, confirmed } = progress;
    const taken = this.bus.publish('messages', [{ key: conversationId, value }]).catch((error: unknown) => {
      this.metrics.publishFailures.inc();
      this.context.log.warn({ err: error, conversationId, seq: last }, 'the bus did not take entries');
      if (progress.round === round) progress.broken = true;
    });
    progress.confirmed = Promise.all([confirmed, taken]).then(() => {
      if (progress.round === round && !progress.broken) progress.publishedSeq = last;
    });
    return progress.confirmed;
  }

  async #republish(conversationId: ConversationId, progress: Progress): Promise<void> {
    progress.republishing = true;
    try {
      progress.broken = false;
      progress.round += 1;
      progress.confirmed = Promise.resolve();
      progress.handedSeq = progress.publishedSeq;
      for (;;) {
        const after = progress.handedSeq;
        const page = await this.log.read(conversationId, { after, limit: REPUBLISH_PAGE });
        let prevMemberSeq = page[0] === undefined ? seq(0) : seq(Math.min(page[0].memberSeq, after));
        // An append meanwhile may have been handed on already, when the last page reached the head.
        if (page.length === 0 || progress.handedSeq !== after) break;
        const entries = page.map((entry): PublishedEntry => {
          const published = { ...entry, prevMemberSeq, receivedAtMs: 0 };
          prevMemberSeq = entry.memberSeq;
          return published;
        });
        await this.#hand(conversationId, progress, entries);
        if (progress.broken) break;
      }
    } finally {
      progress.republishing = false;
    }
  }
}
