import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import {
  type ChatServerLink,
  type DirectoryLink,
  type DirectoryRecord,
  type InstanceId,
  ParleyError,
  type PresenceLink,
  type RoomPush,
  type RoutingLink,
  spreadMs,
  type UserId,
  type UserPush,
} from '@parley/contracts';
import { Registration, type ServiceDiscovery, type Watch } from '@parley/discovery';
import type { EventBus, Subscription } from '@parley/event-bus';
import type { FrameBus, FrameBusMember, Room, RoomFrame } from '@parley/frame-bus';
import type { ChatDoor } from '@parley/links';
import type { RateLimiter } from '@parley/rate-limiter';
import type { ServiceContext } from '@parley/service-kit';
import type { SessionRegistry } from '@parley/session-registry';
import type { TicketIssuer, TicketVerifier } from '@parley/tickets';

import type { ChatConfig } from './config.js';
import { Dispatcher } from './dispatcher.js';
import { drain, drainMs } from './drain.js';
import { EncodedFrame } from './encoded-frame.js';
import { Load } from './load.js';
import { type ChatMetrics, chatMetrics } from './metrics.js';
import { NextAssignments } from './next-assignments.js';
import { PresenceFeed } from './presence-feed.js';
import { requestHandlers } from './requests.js';
import { Rooms } from './rooms.js';
import { type Outlet, Session, type SessionIdentity } from './session.js';
import { Sessions } from './sessions.js';
import { SESSION_LIMITS, SocketIoTransport } from './socket-io.transport.js';
import { StreamTransport } from './stream.transport.js';
import { tolerant } from './tolerant-member.js';
import { TypingIndicator } from './typing.js';

const LOAD_REPORT_MS = 1_000;
const RENEW_PAUSE_MS = 1_000;
/** Clients come back after about so long, to this server or another. */
const BUSY_RETRY_MS = 2_000;
const FULL_RETRY_MS = 5_000;

export interface ChatPorts {
  readonly serverId: InstanceId;
  readonly address: string;
  /** Where gateways pass clients' connections to. */
  readonly doorAddress: string;
  readonly region: string;
  readonly version: string;
  /** Ends the process in order. */
  readonly end: (reason: string) => void;
  readonly routing: RoutingLink;
  readonly directory: DirectoryLink;
  readonly presence: PresenceLink;
  readonly discovery: ServiceDiscovery;
  readonly sessions: SessionRegistry;
  readonly frames: FrameBus;
  readonly bus: EventBus;
  readonly limiter: RateLimiter;
  readonly tickets: TicketVerifier;
  /** For the next assignments of those who have to leave. */
  readonly ticketIssuer: TicketIssuer;
  readonly context: ServiceContext;
}

/** One chat server: live sessions and nothing durable. */
export class ChatService implements ChatServerLink, ChatDoor {
  readonly socketIo: SocketIoTransport;
  readonly #streams: StreamTransport;
  readonly #sessions: Sessions;
  readonly #rooms: Rooms;
  readonly #presence: PresenceFeed;
  readonly #typing: TypingIndicator;
  readonly #load: Load;
  readonly #metrics: ChatMetrics;
  #registration: Registration | undefined;
  #servers: Watch | undefined;
  #reportedConnections = 0;
  #member: FrameBusMember | undefined;
  #subscription: Subscription | undefined;
  #draining = false;

  constructor(
    private readonly ports: ChatPorts,
    private readonly config: ChatConfig,
  ) {
    const { context, directory } = ports;
    const server = { serverId: ports.serverId, epoch: () => this.#registration?.epoch ?? 0 };
    const bus = (): FrameBusMember => this.#attached();
    this.#metrics = chatMetrics(context.metrics, context.clock);
    this.#load = new Load(context.clock, config);
    this.#rooms = new Rooms(bus, directory, context, this.#metrics);
    this.#sessions = new Sessions(server, ports.sessions, bus, this.#rooms, context, this.#metrics);
    this.#presence = new PresenceFeed(server, ports.presence, directory, this.#sessions, bus, context, config);
    this.#typing = new TypingIndicator(directory, ports.frames, context.clock);
    const dispatcher = new Dispatcher({
      handlers: requestHandlers({ ...ports, typing: this.#typing, presence: this.#presence, clock: context.clock }),
      limiter: ports.limiter,
      load: this.#load,
      presence: this.#presence,
      context,
      metrics: this.#metrics,
      config,
      expel: (session) => this.#sessions.close(session, 4008),
    });
    const shared = {
      closed: (session: Session) => this.#closed(session),
      ready: (session: Session) => this.#ready(session),
      cutOff: () => this.#metrics.drops.inc({ reason: 'slow_reader' }),
    };
    this.socketIo = new SocketIoTransport({
      ...shared,
      config,
      open: (ticket, outlet) => this.#open(ticket, outlet),
      opened: (session, ready) => session.ready(ready),
      dispatch: (session, event, args) => dispatcher.dispatch(session, event, args),
    });
    this.#streams = new StreamTransport({
      ...shared,
      clock: context.clock,
      serverId: ports.serverId,
      bufferMaxBytes: config.PARLEY_SESSION_BUFFER_MAX_BYTES,
      open: (ticket, outlet) => this.#open(ticket, outlet),
      renew: (ticket, session) => this.#renew(ticket, session),
    });
    context.metrics.gauge('parley_chat_connections', 'Live sessions', () => this.#sessions.count);
    context.metrics.gauge('parley_chat_rooms', 'Channels with a connected member', () => this.#rooms.size);
  }

  async start(): Promise<void> {
    const { context, discovery, frames, bus, serverId } = this.ports;
    this.#servers = await discovery.watch('chat');
    this.#registration = await this.#register();
    const member = await frames.attach(serverId, (room, frame) => this.#receive(room, frame));
    this.#member = tolerant(member, context);
    this.#subscription = await bus.subscribe({
      topic: 'directory',
      group: `chat-${serverId}`,
      every: true,
      handle: async (records) => {
        for (const { value } of records) this.#ended(value);
      },
    });
    this.#load.start();
    this.#sessions.start();
    this.#presence.start();
    context.clock.every(LOAD_REPORT_MS, () => this.#report());
  }

  /** Tells everyone where and when to reconnect, then closes what is left. */
  async stop(): Promise<void> {
    const { context } = this.ports;
    this.#draining = true;
    await this.#tellOthers({ state: 'draining' });
    const next = this.#nextAssignments();
    await drain([...this.#sessions.all()], this.config.PARLEY_DRAIN_PER_SECOND, context, (session) => next.of(session));
    for (const session of [...this.#sessions.all()]) this.#sessions.close(session, 1012);
    this.#sessions.stop();
    this.#presence.stop();
    this.#typing.close();
    this.#streams.close();
    this.#load.stop();
    await this.socketIo.close();
    await this.#subscription?.close();
    await this.#member?.close();
    this.#servers?.close();
    await this.#registration?.revoke();
  }

  /** How long `stop` may take for those who are connected now. */
  drainMs(): number {
    return drainMs(this.#sessions.count, this.config.PARLEY_DRAIN_PER_SECOND);
  }

  push(pushes: readonly UserPush[]): Promise<readonly (readonly UserId[])[]> {
    return this.#sessions.push(pushes);
  }

  async pushRooms(pushes: readonly RoomPush[]): Promise<void> {
    for (const push of pushes) this.#rooms.deliver(push);
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    if (request.url?.startsWith('/v1/events') === true) this.#streams.request(request, response);
    else this.socketIo.request(request, response);
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.socketIo.upgrade(request, socket, head);
  }

  /** Everything that must be so before `session.ready`: findable by name, in the rooms of its channels. */
  async #open(ticket: unknown, outlet: Outlet): Promise<Session> {
    try {
      if (this.#draining || this.#load.sheds('connections')) {
        throw new ParleyError('overloaded', 'This server takes no new sessions', this.#retryAfter(BUSY_RETRY_MS));
      }
      if (this.#sessions.count >= this.config.PARLEY_CHAT_CAPACITY) {
        throw new ParleyError('overloaded', 'This server is full', this.#retryAfter(FULL_RETRY_MS));
      }
      const session = new Session(this.#verify(ticket), outlet, this.ports.context.clock.now());
      await this.#enter(session);
      this.#metrics.handshakes.inc({ outcome: 'opened' });
      return session;
    } catch (error) {
      this.#metrics.handshakes.inc({ outcome: error instanceof ParleyError ? error.code : 'internal' });
      if (!(error instanceof ParleyError)) this.ports.context.log.error({ err: error }, 'a session could not open');
      throw error;
    }
  }

  async #enter(session: Session): Promise<void> {
    try {
      // By name first: whatever changes the person's channels from here on is heard.
      await this.#sessions.add(session);
      const { workspaceId, userId } = session;
      for (const channel of await this.ports.directory.channelsOf({ workspaceId, userId })) {
        await this.#rooms.join(session, channel);
      }
      await this.#presence.arrived(session);
    } catch (error) {
      session.ended();
      this.#closed(session);
      throw error;
    }
  }

  #renew(ticket: string, session: Session): void {
    const identity = this.#verify(ticket);
    if (identity.userId !== session.userId || identity.workspaceId !== session.workspaceId) {
      throw new ParleyError('forbidden', "The cursor is someone else's");
    }
    session.expiresAtMs = identity.expiresAtMs;
    session.familyId = identity.familyId;
  }

  #verify(ticket: unknown): SessionIdentity {
    if (typeof ticket !== 'string') throw new ParleyError('unauthenticated', 'A session needs a ticket');
    const { sessionExpiresAtMs, ...who } = this.ports.tickets.accept(ticket);
    return { ...who, expiresAtMs: sessionExpiresAtMs };
  }

  #ready({ userId, deviceId, id: sessionId }: Session): EncodedFrame {
    const payload = {
      userId,
      deviceId,
      serverId: this.ports.serverId,
      sessionId,
      limits: {
        ...SESSION_LIMITS,
        sendsPerSecond: this.config.PARLEY_SENDS_PER_SECOND,
        sendsBurst: this.config.PARLEY_SENDS_BURST,
      },
    };
    return new EncodedFrame({ event: 'session.ready', data: JSON.stringify(payload) });
  }

  #closed(session: Session): void {
    session.ended();
    this.#presence.gone(session);
    this.#sessions.remove(session);
  }

  #receive(room: Room, frame: RoomFrame): void {
    const name = room.slice(2) as UserId;
    switch (room[0]) {
      case 'c':
        if (frame.conversationId !== null) this.#rooms.deliver(frame as RoomPush);
        break;
      case 'u':
        for (const session of this.#sessions.ofUser(name)) {
          if (session.id === frame.exceptSessionId || session.workspaceId !== frame.workspaceId) continue;
          for (const each of frame.frames) session.deliver(new EncodedFrame(each));
        }
        break;
      case 'p':
        if (!this.#load.sheds('lossy')) this.#presence.receive(name, frame);
        break;
      default:
        break;
    }
  }

  #ended(record: DirectoryRecord): void {
    if (record.kind === 'session.ended') this.#sessions.end(record.userId, record.familyId, record.code);
  }

  #attached(): FrameBusMember {
    if (this.#member === undefined) throw new ParleyError('unavailable', 'The chat server is starting');
    return this.#member;
  }

  #register(): Promise<Registration> {
    const { context, discovery, serverId, address, doorAddress, region, version } = this.ports;
    return Registration.open(
      discovery,
      {
        service: 'chat',
        instanceId: serverId,
        address,
        doorAddress,
        region,
        version,
        state: 'ready',
        capacity: this.config.PARLEY_CHAT_CAPACITY,
        connections: 0,
        readySinceMs: context.clock.now(),
      },
      {
        renewed: (epoch) => {
          context.log.warn({ epoch }, 'the lease had expired; registered anew');
          this.#sessions.refresh();
        },
        taken: () => this.#fenced(),
        failed: (error) => context.log.warn({ err: error }, 'not registered yet'),
        pause: () => new Promise((resolve) => void context.clock.after(RENEW_PAUSE_MS, resolve)),
      },
    );
  }

  /** Another process is this chat server now; what is delivered to that name no longer comes here. */
  #fenced(): void {
    this.#draining = true;
    for (const session of [...this.#sessions.all()]) this.#sessions.close(session, 1012);
    this.ports.end('another process is this chat server now');
  }

  #nextAssignments(): NextAssignments {
    const { serverId, ticketIssuer, context } = this.ports;
    return new NextAssignments(serverId, () => this.#servers?.instances() ?? [], ticketIssuer, context);
  }

  /** Those who were refused together do not come back together. */
  #retryAfter(ms: number): { readonly retryAfterMs: number } {
    return { retryAfterMs: spreadMs(ms, this.ports.context.random) };
  }

  /** What the assignment goes by; every report that says nothing new would be sent to every gateway for nothing. */
  #report(): void {
    const connections = this.#sessions.count;
    if (connections === this.#reportedConnections || this.#draining) return;
    this.#reportedConnections = connections;
    void this.#tellOthers({ connections });
  }

  /** The lease writes what it could not, when the store is back. */
  async #tellOthers(change: Parameters<Registration['update']>[0]): Promise<void> {
    try {
      await this.#registration?.update(change);
    } catch (error) {
      this.ports.context.log.warn({ err: error }, 'the others do not know how this server is');
    }
  }
}
