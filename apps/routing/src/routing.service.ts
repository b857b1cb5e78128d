import {
  type Command,
  type CommandOutcome,
  type ConversationId,
  type DeliveryLink,
  type DirectoryLink,
  ParleyError,
  type PublishedEntry,
  type RoutingLink,
} from '@parley/contracts';
import type { ConversationLog } from '@parley/conversation-log';
import type { EventBus } from '@parley/event-bus';
import type { HeadCache, HeadUpdate } from '@parley/head-cache';
import type { RateLimiter, Taken } from '@parley/rate-limiter';
import type { ServiceContext, Timer } from '@parley/service-kit';

import type { RoutingConfig } from './config.js';
import { ConversationWriter } from './conversation-writer.js';
import { routingMetrics, type RoutingMetrics } from './metrics.js';
import { Publisher, UNPUBLISHED_MAX } from './publisher.js';
import type { ConversationState } from './state.js';
import type { Writers } from './writers.js';

const SETTLE_EVERY_MS = 2_000;
/** What instances that are gone left behind is looked for this often. */
const RECOVER_EVERY_MS = 5_000;
/** Conversations taken up at once; the rest is for the next time. */
const RECOVER_PAGE = 1_000;
const CACHE_AT_ONCE = 200;
const UNCACHED_MAX = 10_000;
/** A conversation's state is kept in memory this long after its last command. */
const UNUSED_TTL_MS = 60_000;

export interface RoutingPorts {
  readonly log: ConversationLog;
  readonly bus: EventBus;
  readonly directory: DirectoryLink;
  /** For when the bus is away. */
  readonly delivery: Pick<DeliveryLink, 'deliver'>;
  readonly limiter: RateLimiter;
  readonly headCache: HeadCache;
  readonly writers: Pick<Writers, 'name' | 'gone' | 'takesUp'>;
  readonly context: ServiceContext;
  /** Calls back once the acknowledgements that are due have left. */
  readonly later: (callback: () => void) => void;
}

/** Sockets are written to at the end of a turn; this is the turn after. */
export function afterThisTurn(callback: () => void): void {
  setImmediate(() => setImmediate(callback));
}

/** Accepts what is said in conversations: one writer a conversation, as many conversations at once as there are. */
export class RoutingService implements RoutingLink {
  /** Longest unused first. */
  readonly #writers = new Map<ConversationId, { readonly writer: ConversationWriter; usedMs: number }>();
  readonly #publisher: Publisher;
  readonly #metrics: RoutingMetrics;
  #timers: readonly Timer[] = [];
  #recovering: Promise<void> | undefined;
  #settled: Promise<void> = Promise.resolve();
  #stopping = false;
  /** What the cache does not have yet, in order. */
  readonly #uncached: HeadUpdate[] = [];
  #caching = false;
  /** Publications of this turn. */
  readonly #due: (() => void)[] = [];

  constructor(
    private readonly ports: RoutingPorts,
    private readonly config: RoutingConfig,
  ) {
    const { context, log, bus, delivery } = ports;
    this.#metrics = routingMetrics(context.metrics);
    this.#publisher = new Publisher({ log, bus, delivery, context, metrics: this.#metrics });
    context.metrics.gauge('parley_routing_writers', 'Conversations in memory', () => this.#writers.size);
    context.metrics.gauge('parley_routing_queued', 'Commands waiting', () => this.#queued());
    context.metrics.gauge(
      'parley_routing_unsealed_conversations',
      'Conversations with entries that are not sealed yet',
      () => this.#publisher.pending,
    );
  }

  /** Publishes what earlier lives left unsealed, this instance's and others', then keeps sealing and looking for more. */
  async start(): Promise<void> {
    const { clock } = this.ports.context;
    await this.#recover();
    this.#timers = [
      clock.every(SETTLE_EVERY_MS, () => {
        this.#forgetUnused();
        this.#settled = this.#settled.then(() => this.#publisher.settle());
      }),
      clock.every(RECOVER_EVERY_MS, () => {
        this.#recovering ??= this.#recover().finally(() => (this.#recovering = undefined));
      }),
    ];
  }

  /** Refuses new commands, finishes what waits, seals. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) timer.cancel();
    await this.#recovering;
    await Promise.all([...this.#writers.values()].map(({ writer }) => writer.finished()));
    this.#publishDue();
    await this.#settled;
    await this.#publisher.settle();
  }

  /**
   * In the turn after the acknowledgements have left: in a room of 10,000 the fan-out takes longer than the append, and
   * nobody should wait for it to hear that their own message is safe. What is due in one turn is published in order.
   */
  #publishSoon({ facts, head }: ConversationState, entries: readonly PublishedEntry[]): void {
    this.#due.push(() => this.#publisher.appended({ facts, head }, entries));
    // A cache: what is too much for it is left out, and replaced by what comes next.
    if (this.#uncached.length < UNCACHED_MAX) this.#uncached.push({ conversationId: facts.id, head, entries });
    if (this.#due.length > 1) return;
    this.ports.later(() => this.#publishDue());
  }

  #publishDue(): void {
    for (const publish of this.#due.splice(0)) publish();
    this.#cache();
  }

  /** What readers fall back on while the log is away; one write a turn, and the next waits for it. */
  #cache(): void {
    if (this.#caching || this.#uncached.length === 0) return;
    this.#caching = true;
    this.ports.headCache
      .put(this.#uncached.splice(0, CACHE_AT_ONCE))
      .catch((error: unknown) => this.ports.context.log.debug({ err: error }, 'recent entries were not cached'))
      .finally(() => {
        this.#caching = false;
        this.#cache();
      });
  }

  async submit(command: Command): Promise<CommandOutcome> {
    const { context } = this.ports;
    // Thrown, not an outcome: whoever asked tries the next instance.
    if (this.#stopping) throw new ParleyError('unavailable', 'This instance is stopping', { retryAfterMs: 1_000 });
    const startedMs = performance.now();
    const span = context.tracing.span('routing', `accept ${command.body.kind}`, command.context.traceparent, {
      'parley.conversation_id': command.conversationId,
      'parley.request_id': command.context.requestId,
    });
    const outcome = await this.#writer(command.conversationId).submit(command, span);
    this.#metrics.appendSeconds.observe((performance.now() - startedMs) / 1_000);
    return outcome;
  }

  #writer(conversationId: ConversationId): ConversationWriter {
    const usedMs = this.ports.context.clock.now();
    const known = this.#writers.get(conversationId);
    if (known !== undefined) {
      known.usedMs = usedMs;
      this.#writers.delete(conversationId);
      this.#writers.set(conversationId, known);
      return known.writer;
    }
    this.#evict();
    const { log, directory, context } = this.ports;
    const writer = new ConversationWriter(conversationId, {
      log,
      directory,
      context,
      metrics: this.#metrics,
      rules: {
        contentTypes: new Set(this.config.PARLEY_CONTENT_TYPES),
        groupMembersMax: this.config.PARLEY_GROUP_MEMBERS_MAX,
      },
      limit: () => this.#limit(conversationId),
      writer: () => this.ports.writers.name,
      queueMax: this.config.PARLEY_CONVERSATION_QUEUE_MAX,
      appended: (state, entries) => this.#publishSoon(state, entries),
      loaded: (state) => this.#publisher.resume(state),
      overloaded: (state) => this.#publisher.unpublished(conversationId, state.head.seq) > UNPUBLISHED_MAX,
    });
    this.#writers.set(conversationId, { writer, usedMs });
    return writer;
  }

  /** Counted only for what would be appended, so that a stranger cannot use up a conversation's share. */
  #limit(conversationId: ConversationId): Taken {
    const { PARLEY_RATE_LIMITS, PARLEY_CONVERSATION_SENDS_PER_SECOND, PARLEY_CONVERSATION_SENDS_BURST } = this.config;
    if (PARLEY_RATE_LIMITS === 'off') return { ok: true };
    return this.ports.limiter.take(`conversation:${conversationId}`, {
      perSecond: PARLEY_CONVERSATION_SENDS_PER_SECOND,
      burst: PARLEY_CONVERSATION_SENDS_BURST,
    });
  }

  /** Makes room for one more: the longest unused that is idle goes; busy ones are never forgotten. */
  #evict(): void {
    if (this.#writers.size < this.config.PARLEY_ROUTING_CONVERSATIONS_MAX) return;
    for (const [conversationId, { writer }] of this.#writers) {
      if (!writer.idle) continue;
      this.#writers.delete(conversationId);
      return;
    }
  }

  /** What nobody has used for a while is cheaper to load again than to keep. */
  #forgetUnused(): void {
    const before = this.ports.context.clock.now() - UNUSED_TTL_MS;
    for (const [conversationId, { writer, usedMs }] of this.#writers) {
      if (usedMs > before) return;
      if (writer.idle) this.#writers.delete(conversationId);
    }
  }

  #queued(): number {
    let queued = 0;
    for (const { writer } of this.#writers.values()) queued += writer.queued;
    return queued;
  }

  async #recover(): Promise<void> {
    const { log, context, writers } = this.ports;
    try {
      const unsealed = await log.unsealed(RECOVER_PAGE, (writer) => writers.gone(writer));
      const ours = unsealed.filter((conversationId) => writers.takesUp(conversationId));
      if (ours.length === 0) return;
      await Promise.all(ours.map((conversationId) => this.#writer(conversationId).load()));
      await this.#publisher.settle();
      context.log.info({ conversations: ours.length }, 'took up what was not sealed');
    } catch (error) {
      // The log is away; the next look finds the same.
      context.log.warn({ err: error }, 'what was not sealed could not be taken up');
    }
  }
}
