import { type InstanceId, reconnectDelayMs, spreadMs } from '@parley/contracts';

import { Reservations } from './reservations.js';
import type { Instance } from './service-discovery.js';

export interface ReconnectScenario {
  /** Clients of the server that dies; the others' are there already. */
  readonly clients: number;
  /** Of the server that dies: its last report still says that it has room. */
  readonly deadCapacity?: number;
  /** The servers that remain. */
  readonly servers: readonly { readonly capacity: number; readonly connections: number }[];
  readonly gateways: number;
  /** New sessions that one chat server opens a second; the others wait in its queue. */
  readonly handshakesPerSecond: number;
  /** Assignments that one gateway makes a second. */
  readonly assignmentsPerSecond: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** A server's report comes once a second, and reaches a gateway so much later. */
  readonly reportEveryMs?: number;
  readonly listLagMs?: number;
  /** A chat server that is so far behind refuses new sessions. */
  readonly shedAtMs?: number;
  /** The dead server is on the gateways' lists for so long: the life of its lease. */
  readonly deadListedMs?: number;
  /** False: gateways forget what they assigned and where it failed, for comparison. */
  readonly reserve?: boolean;
}

export interface ReconnectOutcome {
  /** New sessions in each tenth of a second. */
  readonly arrivals: readonly number[];
  readonly peakPer100Ms: number;
  readonly allBackAfterMs: number;
  readonly connected: number;
  /** Highest share of its capacity that any server ever had. */
  readonly highestFill: number;
  /** Refused by a chat server that was full: what the gateways' lists did not tell them. */
  readonly refusedByServers: number;
  readonly refusedByGateways: number;
  /** Refused by a chat server that was too far behind. */
  readonly shed: number;
  /** Assigned to the dead server while it was still listed. */
  readonly sentToTheDead: number;
  readonly longestQueue: number;
}

const SLICE_MS = 100;
const REPORT_EVERY_MS = 1_000;
const LIST_LAG_MS = 1_000;
const SHED_AT_MS = 500;
const SHED_RETRY_MS = 2_000;
/** A connection that is refused costs the server this share of one that is opened. */
const REFUSAL_COST = 0.25;
const DEAD_LISTED_MS = 10_000;
const FULL_RETRY_MS = 5_000;
const GIVEN_UP_AFTER_MS = 3_600_000;

interface Server {
  readonly instanceId: InstanceId;
  readonly capacity: number;
  readonly alive: boolean;
  connections: number;
  /** When the handshake after the last one in its queue can begin. */
  freeAtMs: number;
}

/**
 * One chat server dies and its clients come back, in simulated time: the clients wait as the SDK does, each asks some
 * gateway, the gateways choose with the code of the real ones and by lists that lag, and the servers open so many sessions
 * a second and refuse beyond their capacity.
 */
export function simulateReconnect(scenario: ReconnectScenario): ReconnectOutcome {
  return new Simulation(scenario).run();
}

class Simulation {
  readonly #queue = new EventQueue();
  readonly #servers: readonly Server[];
  readonly #gateways: { instances: readonly Instance[]; readonly reservations: Reservations; freeAtMs: number }[];
  readonly #arrivals: number[] = [];
  readonly #scenario: Required<ReconnectScenario>;
  #nowMs = 0;
  #connected = 0;
  #backAtMs = 0;
  #highestFill = 0;
  #refusedByServers = 0;
  #refusedByGateways = 0;
  #shed = 0;
  #sentToTheDead = 0;
  #longestQueue = 0;

  constructor(scenario: ReconnectScenario) {
    this.#scenario = {
      reportEveryMs: REPORT_EVERY_MS,
      listLagMs: LIST_LAG_MS,
      shedAtMs: SHED_AT_MS,
      deadCapacity: 1.2 * scenario.clients,
      deadListedMs: DEAD_LISTED_MS,
      reserve: true,
      ...scenario,
    };
    const { servers, clients, deadCapacity, gateways, random } = this.#scenario;
    const dead = { capacity: deadCapacity, connections: clients };
    this.#servers = [...servers, dead].map(({ capacity, connections }, at) => ({
      instanceId: `chat-${at}` as InstanceId,
      capacity,
      connections,
      alive: at < servers.length,
      freeAtMs: 0,
    }));
    const nowMs = (): number => this.#nowMs;
    this.#gateways = Array.from({ length: gateways }, () => ({
      instances: this.#reports(),
      reservations: new Reservations(nowMs, random),
      freeAtMs: 0,
    }));
  }

  run(): ReconnectOutcome {
    const { clients, random, reportEveryMs } = this.#scenario;
    for (let client = 0; client < clients; client += 1) {
      this.#queue.add(reconnectDelayMs(0, random), () => this.#ask(0));
    }
    this.#queue.add(reportEveryMs, () => this.#report());
    while (this.#connected < clients && this.#nowMs < GIVEN_UP_AFTER_MS) {
      const next = this.#queue.next();
      if (next === undefined) break;
      this.#nowMs = next.atMs;
      next.happen();
    }
    const arrivals = Array.from(this.#arrivals, (count) => count ?? 0);
    return {
      arrivals,
      peakPer100Ms: arrivals.reduce((peak, count) => Math.max(peak, count), 0),
      allBackAfterMs: this.#backAtMs,
      connected: this.#connected,
      highestFill: this.#highestFill,
      refusedByServers: this.#refusedByServers,
      refusedByGateways: this.#refusedByGateways,
      shed: this.#shed,
      sentToTheDead: this.#sentToTheDead,
      longestQueue: this.#longestQueue,
    };
  }

  /** What the servers say of themselves now; the dead one says what it last said until its lease is gone. */
  #reports(): readonly Instance[] {
    return this.#servers
      .filter(({ alive }) => alive || this.#nowMs < this.#scenario.deadListedMs)
      .map(({ instanceId, capacity, connections }) => ({
        service: 'chat',
        instanceId,
        address: instanceId,
        region: 'here',
        version: '1',
        state: 'ready',
        capacity,
        connections,
        readySinceMs: -GIVEN_UP_AFTER_MS,
        epoch: 1,
      }));
  }

  #report(): void {
    const { reportEveryMs, listLagMs } = this.#scenario;
    const instances = this.#reports();
    this.#queue.add(this.#nowMs + listLagMs, () => {
      for (const gateway of this.#gateways) gateway.instances = instances;
    });
    this.#queue.add(this.#nowMs + reportEveryMs, () => this.#report());
  }

  /** A client asks a gateway; it waits its turn there. */
  #ask(attempt: number): void {
    const { assignmentsPerSecond, random } = this.#scenario;
    const gateway = this.#gateways[Math.floor(random() * this.#gateways.length)];
    if (gateway === undefined) throw new Error('There is no gateway');
    const atMs = Math.max(this.#nowMs, gateway.freeAtMs);
    gateway.freeAtMs = atMs + 1_000 / assignmentsPerSecond;
    this.#queue.add(atMs, () => {
      const reservations = this.#scenario.reserve ? gateway.reservations : new Reservations(() => this.#nowMs, random);
      const instance = reservations.assign(gateway.instances);
      if (instance === null) {
        this.#refusedByGateways += 1;
        this.#retry(attempt + 1, spreadMs(FULL_RETRY_MS, random));
      } else {
        this.#connect(instance.instanceId, attempt, gateway.reservations);
      }
    });
  }

  /** A client opens its session; the server takes one after the other, and looks at its capacity then. */
  #connect(instanceId: InstanceId, attempt: number, reservations: Reservations): void {
    const { shedAtMs, handshakesPerSecond, random } = this.#scenario;
    const server = this.#servers.find((each) => each.instanceId === instanceId);
    if (server === undefined || !server.alive) {
      this.#sentToTheDead += 1;
      // Sessions pass through the gateway, which so learns of it.
      reservations.unreachable(instanceId);
      this.#retry(attempt + 1, 0);
      return;
    }
    const handshakeMs = 1_000 / handshakesPerSecond;
    const atMs = Math.max(this.#nowMs, server.freeAtMs);
    this.#longestQueue = Math.max(this.#longestQueue, (atMs - this.#nowMs) / handshakeMs);
    if (atMs - this.#nowMs > shedAtMs) {
      server.freeAtMs = atMs + REFUSAL_COST * handshakeMs;
      this.#shed += 1;
      this.#retry(attempt + 1, spreadMs(SHED_RETRY_MS, random));
      return;
    }
    server.freeAtMs = atMs + handshakeMs;
    this.#queue.add(atMs, () => {
      if (server.connections >= server.capacity) {
        this.#refusedByServers += 1;
        this.#retry(attempt + 1, spreadMs(FULL_RETRY_MS, random));
        return;
      }
      server.connections += 1;
      this.#highestFill = Math.max(this.#highestFill, server.connections / server.capacity);
      this.#connected += 1;
      this.#backAtMs = this.#nowMs;
      const slice = Math.floor(this.#nowMs / SLICE_MS);
      while (this.#arrivals.length <= slice) this.#arrivals.push(0);
      this.#arrivals[slice] = (this.#arrivals[slice] ?? 0) + 1;
    });
  }

  #retry(attempt: number, atLeastMs: number): void {
    const delayMs = Math.max(atLeastMs, reconnectDelayMs(attempt, this.#scenario.random));
    this.#queue.add(this.#nowMs + delayMs, () => this.#ask(attempt));
  }
}

interface Event {
  readonly atMs: number;
  /** Of two at the same time the one that was added first. */
  readonly order: number;
  readonly happen: () => void;
}

/** A binary heap. */
class EventQueue {
  readonly #heap: Event[] = [];
  #added = 0;

  add(atMs: number, happen: () => void): void {
    const event = { atMs, order: (this.#added += 1), happen };
    let at = this.#heap.length;
    this.#heap.push(event);
    for (let parent = (at - 1) >> 1; at > 0; at = parent, parent = (at - 1) >> 1) {
      const above = this.#heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      this.#heap[at] = above;
      this.#heap[parent] = event;
    }
  }

  next(): Event | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined || first === last) return first;
    this.#heap[0] = last;
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const one = this.#heap[left];
      const other = this.#heap[left + 1];
      if (one === undefined) break;
      const child = other !== undefined && isBefore(other, one) ? left + 1 : left;
      const below = child === left ? one : (other ?? one);
      if (!isBefore(below, last)) break;
      this.#heap[at] = below;
      this.#heap[child] = last;
      at = child;
    }
    return first;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** The curve of arrivals, second by second, and the figures, for a terminal. */
export function describeReconnect(outcome: ReconnectOutcome): string {
  const seconds: number[] = [];
  outcome.arrivals.forEach((count, slice) => {
    const second = Math.floor((slice * SLICE_MS) / 1_000);
    seconds[second] = (seconds[second] ?? 0) + count;
  });
  const most = Math.max(1, ...seconds);
  const curve = seconds.map(
    (count, second) =>
      `${String(second).padStart(4)} s ${String(count).padStart(7)} ${'#'.repeat((60 * count) / most)}`,
  );
  return [
    ...curve,
    `all ${outcome.connected} back after ${(outcome.allBackAfterMs / 1_000).toFixed(1)} s; peak ${outcome.peakPer100Ms} per 100 ms; longest queue ${Math.round(outcome.longestQueue)}`,
    `highest fill ${(100 * outcome.highestFill).toFixed(2)} %; refused by servers ${outcome.refusedByServers}, by gateways ${outcome.refusedByGateways}; shed ${outcome.shed}; sent to the dead ${outcome.sentToTheDead}`,
  ].join('\n');
}
