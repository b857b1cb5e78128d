import type { Assignment, InstanceId } from '@parley/contracts';
import { type Instance, Reservations } from '@parley/discovery';
import type { ServiceContext } from '@parley/service-kit';
import { assignmentTo, type TicketIssuer } from '@parley/tickets';

import type { Session } from './session.js';

/**
 * Where the clients of a server that drains go next: chosen as a gateway chooses, so that they need not all ask one in the
 * same seconds.
 */
export class NextAssignments {
  readonly #reservations: Reservations;

  constructor(
    private readonly serverId: InstanceId,
    private readonly servers: () => readonly Instance[],
    private readonly tickets: TicketIssuer,
    { clock, random }: Pick<ServiceContext, 'clock' | 'random'>,
  ) {
    this.#reservations = new Reservations(() => clock.now(), random);
  }

  /**
   * Null where no other server has room, and for streams, which find one by themselves. A ticket lives a minute: longer than
   * anybody is told to wait.
   */
  of(session: Session): Assignment | null {
    const { origin, userId, workspaceId, deviceId, familyId, scopes, expiresAtMs } = session;
    if (origin === null) return null;
    const others = this.servers().filter(({ instanceId }) => instanceId !== this.serverId);
    const server = this.#reservations.assign(others);
    if (server === null) return null;
    const who = { userId, workspaceId, deviceId, familyId, scopes, origin, sessionExpiresAtMs: expiresAtMs };
    return assignmentTo(server, who, this.tickets);
  }
}
