import { type ConversationId, type DeliveryLink, type PublishedEntry, type Seq, seq } from '@parley/contracts';
import type { ConversationLog } from '@parley/conversation-log';
import type { EventBus } from '@parley/event-bus';
import type { ServiceContext } from '@parley/service-kit';

import type { RoutingMetrics } from './metrics.js';
import type { ConversationState } from './state.js';

const REPUBLISH_PAGE = 500;
/** Entries of one conversation that may be durable but not yet published; beyond, sends are refused `overloaded`. */
export const UNPUBLISHED_MAX = 50_000;
/** Calls to delivery under way while the bus is away; beyond, entries are left to the clients' own sync. */
const DIRECT_MAX = 1_000;
/** A publish that has not been taken after this goes to delivery by a call as well; ten times what is usual. */
const SLOW_AFTER_MS = 500;
/** Conversations published again at the same time. */
const REPUBLISH_AT_ONCE = 16;

/** What publishing needs to know of a conversation. */
type Tracked = Pick<ConversationState, 'facts' | 'head'>;

interface Progress {
  /** Everything up to here was handed to the bus, in order. */
  handedSeq: Seq;
  /** Everything up to here was taken by the bus. */
  publishedSeq: Seq;
  /** Everything up to here was given to delivery without the bus. */
  directSeq: Seq;
  /** What the log's seal says, as far as we know. */
  sealedSeq: Seq;
  /** The bus refused something: publish from `publishedSeq` again, from the log. */
  broken: boolean;
  /** Under way: what is published again from the log. */
  republishing: Promise<void> | null;
  /** What was appended while the conversation was being published again, which that has to reach. */
  wantedSeq: Seq;
  /** Counts republications: what the bus says of an earlier round says nothing of this one. */
  round: number;
  /** What the bus says is taken in the order of handing over: that it has a later entry does not mean that it has this. */
  confirmed: Promise<void>;
  facts: Pick<ConversationState['facts'], 'workspaceId' | 'type' | 'history'>;
}

export interface PublisherPorts {
  readonly log: ConversationLog;
  readonly bus: EventBus;
  readonly delivery: Pick<DeliveryLink, 'deliver'>;
  readonly context: ServiceContext;
  readonly metrics: RoutingMetrics;
}

/**
 * What remains to be done after an append: publish the entries in order, and lazily seal the log up to what the bus
 * has taken. What the bus does not take goes to delivery by a call, so that people who are connected see it, and is
 * published again from the log; nothing waits for any of it.
 */
export class Publisher {
  readonly #progress = new Map<ConversationId, Progress>();
  /** The last thing heard from the bus was a refusal: until one publish succeeds, nothing waits for it. */
  #away = false;
  #direct = 0;

  constructor(private readonly ports: PublisherPorts) {}

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
    const { id } = state.facts;
    const progress = this.#track(state, seq(first.entry.seq - 1));
    const last = entries.at(-1)?.entry.seq ?? first.entry.seq;
    // Read from the log and handed on meanwhile.
    if (last <= progress.handedSeq) return;
    const inOrder = progress.handedSeq === first.entry.seq - 1;
    if (!this.#away && !progress.broken && progress.republishing === null && inOrder) {
      void this.#hand(id, progress, entries);
      return;
    }
    // While the bus is there nothing overtakes what it has: delivery may be behind.
    if (this.#away) this.#deliver(id, progress, entries);
    if (progress.republishing === null) progress.broken = true;
    else progress.wantedSeq = last;
    if (!this.#away && !inOrder) void this.#repair(id, progress);
  }

  /** A log was loaded: what another writer, an earlier life or a lost answer left unsealed is published again. */
  resume(state: Tracked): void {
    const { id } = state.facts;
    const progress = this.#track(state, state.head.sealedSeq);
    if (progress.handedSeq >= state.head.seq) return;
    progress.broken = true;
    // At once: people are waiting for what the writer before this one did not publish.
    if (!this.#away) void this.#repair(id, progress);
  }

  /** Advances seals and repairs what the bus refused; called on a timer, and before stopping. */
  async settle(): Promise<void> {
    const behind = [...this.#progress].filter(([, { broken, republishing }]) => broken || republishing !== null);
    const [first] = behind;
    // One tries whether the bus is back before all of them ask.
    if (this.#away && first !== undefined) await this.#repair(...first);
    for (let at = 0; at < behind.length && !this.#away; at += REPUBLISH_AT_ONCE) {
      await Promise.all(behind.slice(at, at + REPUBLISH_AT_ONCE).map(([id, progress]) => this.#repair(id, progress)));
    }
    await Promise.all([...this.#progress].map(([id, progress]) => this.#seal(id, progress)));
  }

  async #seal(conversationId: ConversationId, progress: Progress): Promise<void> {
    try {
      if (progress.publishedSeq > progress.sealedSeq) {
        const upTo = progress.publishedSeq;
        await this.ports.log.seal(conversationId, upTo);
        progress.sealedSeq = upTo;
      }
      if (!progress.broken && progress.handedSeq === progress.sealedSeq) this.#progress.delete(conversationId);
    } catch (error) {
      this.ports.context.log.warn({ err: error, conversationId }, 'sealing is behind');
    }
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
      directSeq: from,
      sealedSeq: state.head.sealedSeq,
      broken: false,
      republishing: null,
      wantedSeq: from,
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
    const { tracing, clock } = this.ports.context;
    const span = tracing.batch('routing', 'publish', entries, { 'parley.entries': entries.length });
    const value = {
      ...recordOf(conversationId, progress, span.handOn(entries)),
      ...(tracing.enabled ? { publishedAtMs: clock.now() } : {}),
    };
    const { round, confirmed } = progress;
    // A bus that says nothing (a process that is stopped, a network that is cut) is found out by its deadline only.
    const slow = clock.after(SLOW_AFTER_MS, () => this.#deliver(conversationId, progress, entries));
    const taken = this.ports.bus.publish('messages', [{ key: conversationId, value }]).then(
      () => {
        slow.cancel();
        this.#away = false;
        span.end();
      },
      (error: unknown) => {
        slow.cancel();
        span.end(error);
        this.ports.metrics.publishFailures.inc();
        this.ports.context.log.warn({ err: error, conversationId, seq: last }, 'the bus did not take entries');
        this.#away = true;
        if (progress.round === round) progress.broken = true;
        this.#deliver(conversationId, progress, entries);
      },
    );
    progress.confirmed = Promise.all([confirmed, taken]).then(() => {
      if (progress.round === round && !progress.broken) progress.publishedSeq = last;
    });
    return progress.confirmed;
  }

  /** Live delivery without the bus; what is lost here the clients find by the jump in `seq`. */
  #deliver(conversationId: ConversationId, progress: Progress, entries: readonly PublishedEntry[]): void {
    const due = entries.filter(({ entry }) => entry.seq > progress.directSeq);
    const last = due.at(-1)?.entry.seq;
    if (last === undefined) return;
    progress.directSeq = last;
    if (this.#direct >= DIRECT_MAX) {
      this.ports.metrics.direct.inc({ outcome: 'dropped' }, due.length);
      return;
    }
    this.#direct += 1;
    this.ports.delivery
      .deliver([recordOf(conversationId, progress, due)])
      .then(
        () => this.ports.metrics.direct.inc({ outcome: 'delivered' }, due.length),
        (error: unknown) => {
          this.ports.metrics.direct.inc({ outcome: 'failed' }, due.length);
          this.ports.context.log.warn({ err: error, conversationId, seq: last }, 'delivery did not take entries');
        },
      )
      .finally(() => (this.#direct -= 1));
  }

  /** Publishes what is due again from the log; one at a time for each conversation, and nothing where nothing is due. */
  #repair(conversationId: ConversationId, progress: Progress): Promise<void> {
    if (progress.republishing !== null) return progress.republishing;
    if (!progress.broken) return Promise.resolve();
    const { context } = this.ports;
    progress.republishing = this.#republish(conversationId, progress)
      .catch((error: unknown) => {
        progress.broken = true;
        context.log.warn({ err: error, conversationId }, 'publishing is behind');
      })
      .finally(() => {
        progress.republishing = null;
        // Appended in the moment after the last look.
        if (!progress.broken && progress.wantedSeq > progress.handedSeq) {
          progress.broken = true;
          void this.#repair(conversationId, progress);
        }
      });
    return progress.republishing;
  }

  async #republish(conversationId: ConversationId, progress: Progress): Promise<void> {
    progress.broken = false;
    progress.round += 1;
    progress.confirmed = Promise.resolve();
    progress.handedSeq = progress.publishedSeq;
    for (;;) {
      const after = progress.handedSeq;
      const page = await this.ports.log.read(conversationId, { after, limit: REPUBLISH_PAGE });
      if (page.length === 0) {
        if (progress.wantedSeq > after) continue;
        return;
      }
      let prevMemberSeq = page[0] === undefined ? seq(0) : seq(Math.min(page[0].memberSeq, after));
      const entries = page.map((entry): PublishedEntry => {
        const published = { ...entry, prevMemberSeq, receivedAtMs: 0 };
        prevMemberSeq = entry.memberSeq;
        return published;
      });
      await this.#hand(conversationId, progress, entries);
      if (progress.broken) return;
    }
  }
}

function recordOf(conversationId: ConversationId, { facts }: Progress, entries: readonly PublishedEntry[]) {
  const { workspaceId, type, history } = facts;
  return { workspaceId, conversationId, type, history, entries };
}
