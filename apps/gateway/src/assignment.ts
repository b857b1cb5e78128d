import { randomUUID } from 'node:crypto';

import { type Assignment, type DeviceId, type InstanceId, ParleyError, type SessionId } from '@parley/contracts';
import { assignChatServer, type Instance, type Watch } from '@parley/discovery';
import type { ServiceContext } from '@parley/service-kit';
import type { TicketIssuer } from '@parley/tickets';

import type { Caller } from './accounts/caller.js';

const FULL_RETRY_MS = 5_000;

/** Where Socket.IO of one chat server is found on the public address. */
export const socketPath = (serverId: string): string => `/v1/chat/${serverId}/socket.io`;

/** Assigns sessions to chat servers and signs the tickets that they are opened with. */
export class Assignments {
  constructor(
    private readonly chatServers: Watch,
    private readonly tickets: TicketIssuer,
    private readonly context: Pick<ServiceContext, 'clock' | 'random'>,
  ) {}

  assign(caller: Caller, deviceId: DeviceId, origin: string): Assignment {
    const server = this.pick();
    const { ticket, expiresAtMs } = this.ticket(caller, deviceId, server.instanceId);
    return {
      url: server.publicUrl ?? origin,
      path: socketPath(server.instanceId),
      ticket,
      expiresAt: new Date(expiresAtMs).toISOString(),
      serverId: server.instanceId,
    };
  }

  ticket(caller: Caller, deviceId: DeviceId, serverId: InstanceId) {
    return this.tickets.issue({
      sessionId: randomUUID() as string as SessionId,
      userId: caller.userId,
      workspaceId: caller.workspaceId,
      deviceId,
      serverId,
      familyId: caller.familyId,
      scopes: caller.scopes,
      sessionExpiresAtMs: caller.expiresAtMs,
    });
  }

  find(serverId: string): Instance | undefined {
    return this.chatServers.instances().find(({ instanceId }) => instanceId === serverId);
  }

  pick(): Instance {
    const { clock, random } = this.context;
    const server = assignChatServer(this.chatServers.instances(), { random, nowMs: clock.now() });
    if (server === null) {
      throw new ParleyError('overloaded', 'No chat server has room', { retryAfterMs: FULL_RETRY_MS });
    }
    return server;
  }
}
