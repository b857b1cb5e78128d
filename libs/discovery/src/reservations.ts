import type { InstanceId } from '@parley/contracts';

import { assignChatServer } from './assignment.js';
import type { Instance } from './service-discovery.js';

/** A client that was assigned and is not in a report by then is not coming. */
export const RESERVATION_TTL_MS = 10_000;
/** Reservations are kept by slices of time, so that what is remembered does not grow with the burst. */
const SLICE_MS = 100;
/** A server that could not be reached gets nobody for so long; a dead one is listed until its lease runs out. */
export const UNREACHABLE_MS = 3_000;

interface Reserved {
  epoch: number;
  reported: number;
  /** Oldest first; at most RESERVATION_TTL_MS / SLICE_MS + 1 of them. */
  readonly slices: { readonly sliceMs: number; clients: number }[];
  clients: number;
  avoidUntilMs: number;
}

/**
 * Assigns chat servers and counts what it has assigned until the servers' reports, which come once a second, contain it:
 * so a burst within a second does not all go to the server that was emptiest at its beginning, nor over anyone's capacity.
 *
 * Others assign too, and nobody here knows of theirs before a report does: the error of one assigner is what the others
 * assign within a report's delay. A chat server refuses beyond its capacity, so that is what holds; this keeps refusals rare.
 */
export class Reservations {
  readonly #servers = new Map<InstanceId, Reserved>();
  #list: readonly Instance[] = [];

  constructor(
    private readonly nowMs: () => number,
    private readonly random: () => number,
  ) {}

  /** A server with room, in which a place is now reserved; null when all are full. */
  assign(instances: readonly Instance[]): Instance | null {
    const nowMs = this.nowMs();
    if (instances !== this.#list) this.#forgetGone(instances);
    const reachable = instances.filter((instance) => this.#settle(instance, nowMs).avoidUntilMs <= nowMs);
    const server = assignChatServer(reachable, {
      nowMs,
      random: this.random,
      onTheWay: ({ instanceId }) => this.#servers.get(instanceId)?.clients ?? 0,
    });
    const reserved = server === null ? undefined : this.#servers.get(server.instanceId);
    if (reserved !== undefined) this.#reserve(reserved, nowMs);
    return server;
  }

  /** A connection to the server failed. */
  unreachable(instanceId: InstanceId): void {
    const reserved = this.#servers.get(instanceId);
    if (reserved !== undefined) reserved.avoidUntilMs = this.nowMs() + UNREACHABLE_MS;
  }

  #reserve(reserved: Reserved, nowMs: number): void {
    const sliceMs = nowMs - (nowMs % SLICE_MS);
    const latest = reserved.slices.at(-1);
    if (latest?.sliceMs === sliceMs) latest.clients += 1;
    else reserved.slices.push({ sliceMs, clients: 1 });
    reserved.clients += 1;
  }

  /** What the server's report has grown by has arrived, oldest first; what is too old never will. */
  #settle({ instanceId, epoch, connections = 0 }: Instance, nowMs: number): Reserved {
    let reserved = this.#servers.get(instanceId);
    if (reserved?.epoch !== epoch) {
      reserved = { epoch, reported: connections, slices: [], clients: 0, avoidUntilMs: Number.NEGATIVE_INFINITY };
      this.#servers.set(instanceId, reserved);
      return reserved;
    }
    let arrived = Math.max(0, connections - reserved.reported);
    reserved.reported = connections;
    for (let oldest = reserved.slices[0]; oldest !== undefined; oldest = reserved.slices[0]) {
      const settled = oldest.sliceMs <= nowMs - RESERVATION_TTL_MS ? oldest.clients : Math.min(oldest.clients, arrived);
      arrived -= Math.min(arrived, settled);
      oldest.clients -= settled;
      reserved.clients -= settled;
      if (oldest.clients > 0) break;
      reserved.slices.shift();
    }
    return reserved;
  }

  #forgetGone(instances: readonly Instance[]): void {
    this.#list = instances;
    const listed = new Set(instances.map(({ instanceId }) => instanceId));
    for (const instanceId of this.#servers.keys()) if (!listed.has(instanceId)) this.#servers.delete(instanceId);
  }
}
