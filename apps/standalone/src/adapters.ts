import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { type ConversationLog, openConversationLog } from '@parley/conversation-log';
import { type Directory, openDirectory } from '@parley/directory';
import { openDiscovery, type ServiceDiscovery, type Watch } from '@parley/discovery';
import { type EventBus, openEventBus } from '@parley/event-bus';
import { type FrameBus, openFrameBus } from '@parley/frame-bus';
import { directoryClient, InProcessLinks, type Links, presenceClient, routingClient } from '@parley/links';
import { openPresenceStore, type PresenceStore } from '@parley/presence-store';
import { openRateLimiter, type RateLimiter } from '@parley/rate-limiter';
import { PORTS, type ServiceContext } from '@parley/service-kit';
import { openSessionRegistry, type SessionRegistry } from '@parley/session-registry';
import { newTicketKey } from '@parley/tickets';

import type { StandaloneConfig } from './config.js';

/** Sessions that were not refreshed for this long are not looked for; refreshed three times as often. */
const SESSION_TTL_MS = 60_000;

export interface Adapters {
  readonly log: ConversationLog;
  readonly directory: Directory;
  readonly bus: EventBus;
  readonly frames: FrameBus;
  readonly sessions: SessionRegistry;
  readonly presence: PresenceStore;
  readonly limiter: RateLimiter;
  readonly discovery: ServiceDiscovery;
  readonly links: Links;
  readonly watches: Readonly<Record<'routing' | 'gateway' | 'presence' | 'chat', Watch>>;
  readonly ticketKey: string;
}

/** The embedded adapter of every port: two SQLite databases in a folder, everything else in memory. */
export async function openAdapters(config: StandaloneConfig, context: ServiceContext): Promise<Adapters> {
  const folder = config.PARLEY_DATA_DIR;
  await mkdir(folder, { recursive: true });
  const nowMs = (): number => context.clock.now();
  const [log, directory, discovery] = await Promise.all([
    openConversationLog({ adapter: 'sqlite', directory: join(folder, 'log') }),
    openDirectory({ adapter: 'sqlite', directory: join(folder, 'directory') }),
    openDiscovery({ adapter: 'in-process' }),
  ]);
  const [bus, frames, sessions, presence, limiter, routing, gateway, presences, chat, ticketKey] = await Promise.all([
    openEventBus({
      adapter: 'in-process',
      onDeadLetter: ({ topic, group, key, error }) => context.log.error({ topic, group, key, error }, 'dead letter'),
    }),
    openFrameBus({ adapter: 'in-process' }),
    openSessionRegistry({ adapter: 'in-process', ttlMs: SESSION_TTL_MS, nowMs }),
    openPresenceStore({ adapter: 'in-process', ttlMs: config.PARLEY_PRESENCE_OFFLINE_AFTER_MS }),
    openRateLimiter({ adapter: 'in-process', nowMs }),
    discovery.watch('routing'),
    discovery.watch('gateway'),
    discovery.watch('presence'),
    discovery.watch('chat'),
    directory.secret('ticket-key', newTicketKey),
  ]);
  return {
    log,
    directory,
    bus,
    frames,
    sessions,
    presence,
    limiter,
    discovery,
    links: new InProcessLinks(),
    watches: { routing, gateway, presence: presences, chat },
    ticketKey,
  };
}

/** What the services' modules ask for, by token. */
export function portsOf(adapters: Adapters): ReadonlyMap<symbol, unknown> {
  const { links, watches } = adapters;
  return new Map<symbol, unknown>([
    [PORTS.conversationLog, adapters.log],
    [PORTS.directory, adapters.directory],
    [PORTS.eventBus, adapters.bus],
    [PORTS.frameBus, adapters.frames],
    [PORTS.sessionRegistry, adapters.sessions],
    [PORTS.presenceStore, adapters.presence],
    [PORTS.rateLimiter, adapters.limiter],
    [PORTS.discovery, adapters.discovery],
    [PORTS.links, links],
    [PORTS.chatServers, watches.chat],
    [PORTS.ticketKey, adapters.ticketKey],
    [PORTS.routing, routingClient(watches.routing, links)],
    [PORTS.directoryLink, directoryClient(watches.gateway, links)],
    [PORTS.presence, presenceClient(watches.presence, links)],
  ]);
}

export async function closeAdapters(adapters: Adapters): Promise<void> {
  for (const watch of Object.values(adapters.watches)) watch.close();
  await adapters.bus.close();
  await adapters.frames.close();
  await adapters.sessions.close();
  await adapters.presence.close();
  await adapters.discovery.close();
  await adapters.log.close();
  await adapters.directory.close();
}
