import { createServer, type Server } from 'node:http';

import { DEFAULT_WORKSPACE, type DirectoryLink, type InstanceId, type RoutingLink } from '@parley/contracts';
import type { ConversationLog } from '@parley/conversation-log';
import type { Directory } from '@parley/directory';
import { Registration, type ServiceDiscovery, type Watch } from '@parley/discovery';
import type { EventBus, Subscription } from '@parley/event-bus';
import type { FrameBus } from '@parley/frame-bus';
import type { HeadCache } from '@parley/head-cache';
import type { Links } from '@parley/links';
import type { RateLimiter } from '@parley/rate-limiter';
import { closeServer, listen, portOf, type ServiceContext } from '@parley/service-kit';
import { TicketIssuer } from '@parley/tickets';
import cors from 'cors';
import express from 'express';
import { nanoid } from 'nanoid';

import { AccessTokens } from './accounts/access-tokens.js';
import { ApiKeys } from './accounts/api-keys.js';
import { Authenticator } from './accounts/authenticate.js';
import { OutsideIssuers } from './accounts/outside-issuers.js';
import { Passwords } from './accounts/passwords.js';
import { SignIn } from './accounts/sign-in.js';
import { Admission } from './admission.js';
import { Announcer } from './announcer.js';
import { Assignments } from './assignment.js';
import type { GatewayConfig } from './config.js';
import { ConversationViews } from './conversation-views.js';
import { withMemory } from './directory-memory.js';
import { directoryLink } from './directory.link.js';
import { docsPage } from './docs-page.js';
import { accountHandlers } from './handlers.accounts.js';
import { conversationHandlers } from './handlers.conversations.js';
import { messageHandlers } from './handlers.messages.js';
import { bindFallbacks, bindRoutes } from './http-api.js';
import { asyncApiDocument, openApiDocument } from './openapi.js';
import { PassThrough } from './pass-through.js';
import { Positions } from './positions.js';
import { Projection } from './projection.js';
import { Reading } from './reading.js';
import { withRecent } from './recent-reads.js';
import { Sync } from './sync.js';

const RENEW_PAUSE_MS = 1_000;

export interface GatewayPorts {
  readonly instanceId: InstanceId;
  readonly address: string;
  readonly version: string;
  readonly directory: Directory;
  readonly log: ConversationLog;
  readonly headCache: HeadCache;
  readonly bus: EventBus;
  readonly frames: FrameBus;
  readonly limiter: RateLimiter;
  readonly discovery: ServiceDiscovery;
  readonly links: Links;
  readonly routing: RoutingLink;
  readonly ticketKey: string;
  readonly region: string;
  /** Ends the process in order. */
  readonly end: (reason: string) => void;
  readonly context: ServiceContext;
}

/** The public door, and the owner of the directory. */
export class GatewayService {
  readonly link: DirectoryLink;
  readonly #projection: Projection;
  readonly #views: ConversationViews;
  readonly #positions: Positions;
  readonly #sync: Sync;
  readonly #directory: Directory;
  readonly #log: ConversationLog;
  readonly #announcer: Announcer;
  #server: Server | undefined;
  #registration: Registration | undefined;
  #watch: Watch | undefined;
  #subscriptions: Subscription[] = [];

  constructor(
    private readonly ports: GatewayPorts,
    private readonly config: GatewayConfig,
  ) {
    const { frames, context } = ports;
    const log = withRecent(ports.log, ports.headCache, context.clock);
    this.#log = log;
    const directory = withMemory(ports.directory, context.clock);
    this.#directory = directory;
    this.#announcer = new Announcer(ports.bus, context);
    this.#projection = new Projection(directory, log);
    this.#views = new ConversationViews(directory, log, this.#projection);
    this.#positions = new Positions(directory, log, this.#projection, frames, context.clock);
    this.#sync = new Sync(directory, log, this.#views);
    this.link = directoryLink({
      directory,
      projection: this.#projection,
      views: this.#views,
      positions: this.#positions,
      sync: this.#sync,
    });
  }

  get port(): number {
    return this.#server === undefined ? 0 : portOf(this.#server);
  }

  /** Registers, so that the other services find the directory; the public port opens with `open`. */
  async start(): Promise<void> {
    const { discovery, instanceId, address, region, version, bus, context } = this.ports;
    this.#watch = await discovery.watch('chat');
    this.#registration = await Registration.open(
      discovery,
      { service: 'gateway', instanceId, address, region, version, state: 'ready' },
      {
        taken: () => this.ports.end('another process is this gateway now'),
        failed: (error) => context.log.warn({ err: error }, 'not registered yet'),
        pause: () => new Promise((resolve) => void context.clock.after(RENEW_PAUSE_MS, resolve)),
      },
    );
    this.#subscriptions.push(
      await bus.subscribe({
        topic: 'messages',
        group: 'directory-projection',
        handle: (records) => this.#projection.consume(records.map(({ value }) => value)),
      }),
    );
  }

  async open(port: number, host: string | undefined): Promise<void> {
    const { app, passThrough } = await this.#build();
    const server = createServer((request, response) => {
      if (!passThrough.request(request, response, request.socket.remoteAddress ?? '')) app(request, response);
    });
    server.on('upgrade', (request, socket, head) => passThrough.upgrade(request, socket, head));
    // Headers have their own bound in time; bodies too, but event streams and polls last.
    server.headersTimeout = 10_000;
    server.requestTimeout = 60_000;
    server.keepAliveTimeout = 65_000;
    await listen(server, port, host);
    this.#server = server;
  }

  async stop(): Promise<void> {
    await this.#registration?.update({ state: 'draining' }).catch((error: unknown) => {
      this.ports.context.log.warn({ err: error }, 'the others do not know that this gateway stops');
    });
    await this.#announcer.close();
    for (const subscription of this.#subscriptions) await subscription.close();
    if (this.#server !== undefined) await closeServer(this.#server);
    this.#watch?.close();
    await this.#registration?.revoke();
  }

  async #build() {
    const { ports, config } = this;
    const { context, bus, routing } = ports;
    const directory = this.#directory;
    const nowMs = (): number => context.clock.now();
    const newId = (): string => nanoid();
    const announce: Announcer['announce'] = (record) => {
      // The others hear of it by the bus; whoever asks here next is refused at once.
      if (record.kind === 'session.ended') authenticator.invalidate(record.userId);
      return this.#announcer.announce(record);
    };
    const shared = { directory, publish: announce, nowMs, newId };

    const passwords = await Passwords.open();
    const accessTokens = await AccessTokens.open({
      directory,
      issuer: config.PARLEY_TOKEN_ISSUER,
      audience: 'parley',
      ttlMs: config.PARLEY_ACCESS_TOKEN_TTL_S * 1_000,
      nowMs,
      newId,
    });
    const apiKeys = new ApiKeys(shared);
    const issuers = config.PARLEY_OIDC_ISSUERS.map((issuer) => ({
      ...issuer,
      workspaceId: issuer.workspaceId ?? DEFAULT_WORKSPACE,
    }));
    const outsideIssuers = new OutsideIssuers({ ...shared, issuers });
    const authenticator = new Authenticator({ accessTokens, outsideIssuers, apiKeys, directory, nowMs });
    this.#subscriptions.push(
      await bus.subscribe({
        topic: 'directory',
        group: `gateway-${ports.instanceId}`,
        every: true,
        handle: async (records) => {
          for (const { value } of records) if (value.kind === 'session.ended') authenticator.invalidate(value.userId);
        },
      }),
    );
    const signIn = new SignIn({
      ...shared,
      passwords,
      accessTokens,
      refreshTtlMs: config.PARLEY_REFRESH_TOKEN_TTL_S * 1_000,
    });
    const admission = new Admission(authenticator, ports.limiter, config);
    if (this.#watch === undefined) throw new Error('start comes before open');
    const assignments = new Assignments(this.#watch, new TicketIssuer({ key: ports.ticketKey, nowMs }), context);

    const app = express();
    app.disable('x-powered-by');
    app.set('trust proxy', config.PARLEY_TRUSTED_PROXIES);
    app.set('query parser', 'simple');
    app.use(cors({ maxAge: 600, exposedHeaders: ['X-Request-Id', 'Retry-After'] }));
    bindRoutes(
      app,
      {
        ...accountHandlers({
          directory,
          signIn,
          accessTokens,
          apiKeys,
          bans: shared,
          admission,
          clock: context.clock,
          config,
        }),
        ...conversationHandlers({
          directory,
          projection: this.#projection,
          views: this.#views,
          routing,
          announce,
          clock: context.clock,
          groupMembersMax: config.PARLEY_GROUP_MEMBERS_MAX,
        }),
        ...messageHandlers({
          directory,
          projection: this.#projection,
          reading: new Reading(this.#log),
          sync: this.#sync,
          positions: this.#positions,
          assignments,
          routing,
          publicUrl: config.PARLEY_PUBLIC_URL,
        }),
      },
      admission,
      context,
    );
    this.#bindDocuments(app);
    bindFallbacks(app, context);
    return { app, passThrough: new PassThrough(assignments, admission, ports.links) };
  }

  #bindDocuments(app: express.Express): void {
    const { version, context } = this.ports;
    const openApi = openApiDocument(version);
    const asyncApi = asyncApiDocument(version);
    const page = docsPage(openApi, asyncApi);
    app.get('/v1/openapi.json', (_request, response) => void response.json(openApi));
    app.get('/v1/asyncapi.json', (_request, response) => void response.json(asyncApi));
    app.get('/docs', (_request, response) => void response.type('html').send(page));
    app.get('/', (_request, response) => response.redirect(302, '/docs'));
    app.get('/readyz', (_request, response) => {
      response.status(context.readiness.ready ? 200 : 503).json({ ready: context.readiness.ready });
    });
  }
}
