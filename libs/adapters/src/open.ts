import { mkdir } from 'node:fs/promises';

import { type ConversationLog, openConversationLog } from '@parley/conversation-log';
import { type Directory, openDirectory } from '@parley/directory';
import { openDiscovery, type ServiceDiscovery, type ServiceName, type Watch } from '@parley/discovery';
import { type EventBus, openEventBus } from '@parley/event-bus';
import { type FrameBus, openFrameBus } from '@parley/frame-bus';
import { type HeadCache, openHeadCache } from '@parley/head-cache';
import { deliveryClient, directoryClient, type Links, openLinks, presenceClient, routingClient } from '@parley/links';
import { openPresenceStore, type PresenceStore } from '@parley/presence-store';
import { openRateLimiter, type RateLimiter } from '@parley/rate-limiter';
import { connectRedis, type RedisConnection } from '@parley/redis-client';
import { PORTS, type ServiceContext } from '@parley/service-kit';
import { openSessionRegistry, type SessionRegistry } from '@parley/session-registry';
import { newTicketKey } from '@parley/tickets';

import type { Plan, PortName } from './plan.js';

/** Sessions that were not refreshed for this long are not looked for; refreshed three times as often. */
const SESSION_TTL_MS = 60_000;

export interface OpenOptions {
  readonly plan: Plan;
  readonly needs: ReadonlySet<PortName>;
  readonly context: ServiceContext;
  readonly dataDir: string;
  readonly presenceTtlMs: number;
  /** An engine's client gave up for good: the process should end, so that the platform starts it anew. */
  readonly fatal: (error: Error) => void;
}

/** The adapters of one process, open: what its modules ask for by token, and what holds it all together. */
export interface Adapters {
  readonly ports: ReadonlyMap<symbol, unknown>;
  readonly discovery: ServiceDiscovery;
  readonly links: Links;
  close(): Promise<void>;
}

/** Opens what is asked for. When one cannot be opened, those that were are closed again. */
export async function openAdapters(options: OpenOptions): Promise<Adapters> {
  const opening = new Opening(options);
  try {
    return await opening.open();
  } catch (error) {
    await opening.close();
    throw error;
  }
}

class Opening {
  readonly #options: OpenOptions;
  readonly #ports = new Map<symbol, unknown>();
  /** In order of opening; closed in the opposite one. */
  readonly #closers: (() => Promise<void> | void)[] = [];

  constructor(options: OpenOptions) {
    this.#options = options;
  }

  async open(): Promise<Adapters> {
    const { plan, needs } = this.#options;
    if (plan.log?.adapter === 'sqlite' || plan.directory?.adapter === 'sqlite') {
      await mkdir(this.#options.dataDir, { recursive: true });
    }
    const [redis, discovery, links] = await Promise.all([this.#redis(), this.#discovery(), this.#links()]);
    const [, directory] = await Promise.all([
      this.#log(),
      this.#directory(),
      this.#bus(),
      this.#frames(redis),
      this.#sessions(redis),
      this.#presence(redis),
      this.#limiter(redis),
      this.#headCache(redis),
    ]);
    if (needs.has('chatServers')) this.#ports.set(PORTS.chatServers, await this.#watch(discovery, 'chat'));
    if (needs.has('routingServers')) this.#ports.set(PORTS.routingServers, await this.#watch(discovery, 'routing'));
    if (needs.has('routing')) {
      this.#ports.set(PORTS.routing, routingClient(await this.#watch(discovery, 'routing'), links));
    }
    if (needs.has('directoryLink')) {
      this.#ports.set(PORTS.directoryLink, directoryClient(await this.#watch(discovery, 'gateway'), links));
    }
    if (needs.has('presence')) {
      this.#ports.set(PORTS.presence, presenceClient(await this.#watch(discovery, 'presence'), links));
    }
    if (needs.has('deliveryLink')) {
      this.#ports.set(PORTS.deliveryLink, deliveryClient(await this.#watch(discovery, 'delivery'), links));
    }
    if (needs.has('ticketKey')) {
      this.#ports.set(PORTS.ticketKey, plan.ticketKey ?? (await directory?.secret('ticket-key', newTicketKey)));
    }
    return { ports: this.#ports, discovery, links, close: () => this.close() };
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }

  #keep<T extends { close(): Promise<void> | void }>(token: symbol | null, opened: T): T {
    if (token !== null) this.#ports.set(token, opened);
    this.#closers.push(() => opened.close());
    return opened;
  }

  async #redis(): Promise<RedisConnection | undefined> {
    const { plan, context } = this.#options;
    if (plan.redis === undefined) return undefined;
    const onReachable = (reachable: boolean, reason: string): void => {
      if (reachable) context.log.info('redis is there');
      else context.log.warn({ reason }, 'redis is away');
    };
    return this.#keep(null, await connectRedis({ ...plan.redis, onReachable }));
  }

  async #discovery(): Promise<ServiceDiscovery> {
    const { plan, context } = this.#options;
    const onProblem = (error: unknown): void => context.log.warn({ err: error }, 'discovery has a problem');
    return this.#keep(
      PORTS.discovery,
      await openDiscovery(plan.discovery.adapter === 'etcd' ? { ...plan.discovery, onProblem } : plan.discovery),
    );
  }

  async #links(): Promise<Links> {
    return this.#keep(PORTS.links, await openLinks(this.#options.plan.links));
  }

  async #log(): Promise<ConversationLog | undefined> {
    const { log } = this.#options.plan;
    return log && this.#keep(PORTS.conversationLog, await openConversationLog(log));
  }

  async #directory(): Promise<Directory | undefined> {
    const { directory } = this.#options.plan;
    return directory && this.#keep(PORTS.directory, await openDirectory(directory));
  }

  async #bus(): Promise<EventBus | undefined> {
    const { plan, context, fatal } = this.#options;
    if (plan.bus === undefined) return undefined;
    const { metrics, log } = context;
    const dead = metrics.counter('parley_bus_dead_letters_total', 'Records set aside after their last attempt', [
      'topic',
    ]);
    const restarts = metrics.counter('parley_bus_consumer_restarts_total', 'Consumers that were started again', [
      'topic',
      'reason',
    ]);
    const bus = this.#keep(
      PORTS.eventBus,
      await openEventBus({
        ...plan.bus,
        onDeadLetter({ topic, group, key, error }) {
          dead.inc({ topic });
          log.error({ topic, group, key, error }, 'dead letter');
        },
        ...(plan.bus.adapter === 'in-process'
          ? {}
          : {
              log,
              onConsumerRestart: ({ topic, group, reason, error }) => {
                restarts.inc({ topic, reason });
                log.error({ topic, group, reason, error }, 'a consumer was started again');
              },
              onFatal: fatal,
            }),
      }),
    );
    metrics.gauges('parley_bus_lag_records', 'Records accepted and not yet handled', 'queue', () => bus.lag());
    return bus;
  }

  async #frames(redis: RedisConnection | undefined): Promise<FrameBus | undefined> {
    const { frames } = this.#options.plan;
    if (frames === undefined) return undefined;
    return this.#keep(PORTS.frameBus, await openFrameBus(on(frames, redis)));
  }

  async #sessions(redis: RedisConnection | undefined): Promise<SessionRegistry | undefined> {
    const { plan, context } = this.#options;
    if (plan.sessions === undefined) return undefined;
    const where = on(plan.sessions, redis);
    const nowMs = (): number => context.clock.now();
    return this.#keep(
      PORTS.sessionRegistry,
      await openSessionRegistry({
        ...(where.adapter === 'redis' ? where : { ...where, nowMs }),
        ttlMs: SESSION_TTL_MS,
      }),
    );
  }

  async #presence(redis: RedisConnection | undefined): Promise<PresenceStore | undefined> {
    const { plan, presenceTtlMs } = this.#options;
    if (plan.presence === undefined) return undefined;
    return this.#keep(
      PORTS.presenceStore,
      await openPresenceStore({ ...on(plan.presence, redis), ttlMs: presenceTtlMs }),
    );
  }

  async #limiter(redis: RedisConnection | undefined): Promise<RateLimiter | undefined> {
    const { plan, context } = this.#options;
    if (plan.limiter === undefined) return undefined;
    const nowMs = (): number => context.clock.now();
    return this.#keep(PORTS.rateLimiter, await openRateLimiter({ ...on(plan.limiter, redis), nowMs }));
  }

  async #headCache(redis: RedisConnection | undefined): Promise<HeadCache | undefined> {
    const { headCache } = this.#options.plan;
    if (headCache === undefined) return undefined;
    return this.#keep(PORTS.headCache, await openHeadCache(on(headCache, redis)));
  }

  async #watch(discovery: ServiceDiscovery, service: ServiceName): Promise<Watch> {
    return this.#keep(null, await discovery.watch(service));
  }
}

type Place = { readonly adapter: 'in-process' } | { readonly adapter: 'redis'; readonly redis: RedisConnection };

function on(adapter: 'in-process' | 'redis', redis: RedisConnection | undefined): Place {
  if (adapter === 'in-process') return { adapter };
  if (redis === undefined) throw new Error('there is no connection to redis');
  return { adapter, redis };
}
