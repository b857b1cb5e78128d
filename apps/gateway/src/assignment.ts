import { randomUUID } from 'node:crypto';

import {
  type Assignment,
  type DeviceId,
  type InstanceId,
  ParleyError,
  type SessionId,
  spreadMs,
} from '@parley/contracts';
import { type Instance, Reservations, type Watch } from '@parley/discovery';
import type { ServiceContext } from '@parley/service-kit';
import { assignmentTo, type TicketIssuer } from '@parley/tickets';

import type { Caller } from './accounts/caller.js';

const FULL_RETRY_MS = 5_000;

/** Assigns sessions to chat servers and signs the tickets that they are opened with. */
export class Assignments {
  readonly #reservations: Reservations;

  constructor(
    private readonly chatServers: Watch,
    private readonly tickets: TicketIssuer,
    private readonly context: Pick<ServiceContext, 'clock' | 'random'>,
  ) {
    this.#reservations = new Reservations(() => context.clock.now(), context.random);
  }

  assign(caller: Caller, deviceId: DeviceId, origin: string): Assignment {
    const server = this.pick();
    return assignmentTo(server, { ...identityOf(caller), deviceId, origin }, this.tickets);
  }

  /** For a stream, which the gateway opens for the client and which finds its next server by itself. */
  ticket(caller: Caller, deviceId: DeviceId, serverId: InstanceId) {
    const sessionId = randomUUID() as string as SessionId;
    return this.tickets.issue({ ...identityOf(caller), sessionId, deviceId, serverId, origin: null });
  }

  find(serverId: string): Instance | undefined {
    return this.chatServers.instances().find(({ instanceId }) => instanceId === serverId);
  }

  /** The server could not be reached: for a few seconds nobody is sent there. */
  unreachable(serverId: InstanceId): void {
    this.#reservations.unreachable(serverId);
  }

  pick(): Instance {
    const server = this.#reservations.assign(this.chatServers.instances());
    if (server === null) {
      // Whoever is refused together does not come back together.
      const retryAfterMs = spreadMs(FULL_RETRY_MS, this.context.random);
      throw new ParleyError('overloaded', 'No chat server has room', { retryAfterMs });
    }
    return server;
  }
}

function identityOf({ userId, workspaceId, familyId, scopes, expiresAtMs }: Caller) {
  return { userId, workspaceId, familyId, scopes, sessionExpiresAtMs: expiresAtMs };
}
