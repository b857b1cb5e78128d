import { type BusRecord, type EventBus } from '@parley/event-bus';
import {
  type ChatServerLink,
  type InboxRecord,
  type InstanceId,
  isUnavailable,
  type RoomPush,
  type SessionRecord,
  type UserId,
  type UserPush,
  type WorkspaceId,
} from '@parley/contracts';
import type { Watch } from '@parley/discovery';
import type { Links } from '@parley/links';
import type { SessionRegistry } from '@parley/session-registry';
import { Outage, type ServiceContext } from '@parley/service-kit';

import type { DeliveryMetrics } from './metrics.js';

/** Chat servers notice within a second, and tell 50,000 sessions in a few. */
const REGISTRY_DOUBTFUL_MS = 10_000;

/** A push and what is to be done for those whom it does not reach. */
export interface Addressed {
  readonly push: UserPush;
  readonly inbox: readonly Omit<InboxRecord, 'workspaceId' | 'userId'>[];
  /** Never told by inbox: the author. */
  readonly authorId: UserId | null;
}

export interface OutboxPorts {
  readonly sessions: SessionRegistry;
  readonly chatServers: Watch;
  readonly links: Links;
  readonly bus: EventBus;
  readonly context: ServiceContext;
  readonly metrics: DeliveryMetrics;
}

/**
 * Pushes to the chat servers that hold the recipients' sessions: one registry lookup and one call a server for
 * everything that is due, however many conversations it comes from. Who has no live session gets an inbox record.
 */
export class Outbox {
  readonly #registryAway: Outage;

  constructor(private readonly ports: OutboxPorts) {
    this.#registryAway = new Outage(ports.context.clock);
  }

  /** To every chat server that discovery lists, which drop what is for rooms that they do not have. */
  async sendRoom(pushes: readonly RoomPush[]): Promise<void> {
    const servers = this.ports.chatServers.instances();
    await Promise.all(
      servers.map(({ instanceId }) => this.#call(instanceId, pushes.length, (chat) => chat.pushRooms(pushes))),
    );
  }

  /** With `inbox` false nobody is told by inbox: that comes when the bus brings the same. */
  async send(addressed: readonly Addressed[], inbox = true): Promise<void> {
    const byWorkspace = new Map<WorkspaceId, Addressed[]>();
    for (const item of addressed) {
      const of = byWorkspace.get(item.push.workspaceId);
      if (of === undefined) byWorkspace.set(item.push.workspaceId, [item]);
      else of.push(item);
    }
    await Promise.all([...byWorkspace].map(([workspaceId, items]) => this.#sendIn(workspaceId, items, inbox)));
  }

  async #sendIn(workspaceId: WorkspaceId, items: readonly Addressed[], inbox: boolean): Promise<void> {
    const userIds = new Set<UserId>();
    for (const { push } of items) for (const userId of push.userIds) userIds.add(userId);
    const sessions = await this.#lookup(workspaceId, [...userIds]);
    const everyServer = this.ports.chatServers.instances().map(({ instanceId }) => instanceId);
    const byServer = new Map<InstanceId, { readonly pushes: UserPush[]; readonly items: number[] }>();
    items.forEach(({ push }, index) => {
      const servers =
        sessions === null
          ? everyServer.map((serverId) => [serverId, push.userIds] as const)
          : serversOf(push.userIds, sessions);
      for (const [serverId, users] of servers) {
        const due = byServer.get(serverId) ?? { pushes: [], items: [] };
        byServer.set(serverId, due);
        due.pushes.push(users.length === push.userIds.length ? push : { ...push, userIds: users });
        due.items.push(index);
      }
    });
    const reached = items.map(() => new Set<UserId>());
    await Promise.all(
      [...byServer].map(async ([serverId, due]) => {
        const results = await this.#push(serverId, due.pushes);
        results.forEach((users, at) => {
          const index = due.items[at];
          if (index !== undefined) for (const userId of users) reached[index]?.add(userId);
        });
      }),
    );
    if (inbox) await this.#inbox(workspaceId, items, reached);
  }

  /** Who is where; null while the registry is away: then every chat server is asked, and drops what is not its own. */
  async #lookup(workspaceId: WorkspaceId, userIds: readonly UserId[]) {
    if (this.#registryAway.known) return null;
    try {
      const found = await this.ports.sessions.lookup(workspaceId, userIds);
      // It may have come back empty, and chat servers are telling it again.
      return this.#registryAway.metWithin(REGISTRY_DOUBTFUL_MS) ? null : found;
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      this.#registryAway.began();
      this.ports.context.log.warn({ err: error }, 'the session registry is away');
      return null;
    }
  }

  async #push(serverId: InstanceId, pushes: readonly UserPush[]): Promise<readonly (readonly UserId[])[]> {
    const span = this.ports.context.tracing.batch('delivery', 'push', pushes, { 'parley.server_id': serverId });
    const reached = await this.#call(serverId, pushes.length, (chat) => chat.push(span.handOn(pushes)));
    span.end();
    return reached ?? [];
  }

  /** A server that does not answer has reached nobody: its clients come back and sync. */
  async #call<T>(
    serverId: InstanceId,
    pushes: number,
    call: (chat: ChatServerLink) => Promise<T>,
  ): Promise<T | undefined> {
    const { chatServers, links, context, metrics } = this.ports;
    const server = chatServers.instances().find(({ instanceId }) => instanceId === serverId);
    if (server === undefined) return undefined;
    try {
      return await call(links.connect('chat', server.address));
    } catch (error) {
      metrics.drops.inc({ reason: 'chat_unavailable' }, pushes);
      context.log.warn({ err: error, serverId }, 'a chat server did not take pushes');
      return undefined;
    }
  }

  async #inbox(workspaceId: WorkspaceId, items: readonly Addressed[], reached: readonly Set<UserId>[]): Promise<void> {
    const records: BusRecord<'inbox'>[] = [];
    items.forEach(({ push, inbox, authorId }, index) => {
      if (inbox.length === 0) return;
      for (const userId of push.userIds) {
        if (userId === authorId || reached[index]?.has(userId) === true) continue;
        for (const record of inbox) records.push({ key: userId, value: { workspaceId, userId, ...record } });
      }
    });
    if (records.length === 0) return;
    await this.ports.bus.publish('inbox', records);
    this.ports.metrics.inbox.inc(records.length);
  }
}

function serversOf(
  userIds: readonly UserId[],
  sessions: ReadonlyMap<UserId, readonly SessionRecord[]>,
): Map<InstanceId, UserId[]> {
  const servers = new Map<InstanceId, UserId[]>();
  for (const userId of userIds) {
    for (const { serverId } of sessions.get(userId) ?? []) {
      const users = servers.get(serverId);
      if (users === undefined) servers.set(serverId, [userId]);
      else if (users.at(-1) !== userId) users.push(userId);
    }
  }
  return servers;
}
