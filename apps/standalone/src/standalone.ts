import 'reflect-metadata';

import { randomBytes } from 'node:crypto';

import { NestFactory } from '@nestjs/core';
import { type AdapterConfig, adapterSettings, openAdapters, planAdapters, type PortName } from '@parley/adapters';
import { ChatService, ChatSocketAdapter } from '@parley/chat';
import type { InstanceId } from '@parley/contracts';
import { DeliveryService } from '@parley/delivery';
import { GatewayService } from '@parley/gateway';
import { PresenceService } from '@parley/presence';
import { PushNotificationService } from '@parley/push-notification';
import { RoutingService } from '@parley/routing';
import {
  createLogger,
  type InternalServer,
  Metrics,
  PORTS,
  readConfig,
  Readiness,
  type Self,
  type ServiceContext,
  startInternalServer,
  systemClock,
  Tracing,
  VERSION,
} from '@parley/service-kit';

import { type StandaloneConfig, standaloneSettings } from './config.js';
import { StandaloneModule } from './standalone.module.js';

/** All that there is. */
const NEEDS: ReadonlySet<PortName> = new Set([
  'conversationLog',
  'directory',
  'eventBus',
  'frameBus',
  'sessionRegistry',
  'presenceStore',
  'rateLimiter',
  'headCache',
  'discovery',
  'links',
  'chatServers',
  'routingServers',
  'routing',
  'directoryLink',
  'presence',
  'deliveryLink',
  'ticketKey',
]);

export interface Standalone {
  readonly port: number;
  readonly internalPort: number;
  readonly context: ServiceContext;
  /** Drains, flushes and closes everything. */
  stop(): Promise<void>;
}

/** Starts all six services in this process and resolves when they take traffic. */
export async function startStandalone(env: NodeJS.ProcessEnv, end: (reason: string) => void): Promise<Standalone> {
  const config = readConfig(standaloneSettings, env);
  const adapterConfig: AdapterConfig = readConfig(adapterSettings, env);
  const instanceId = randomBytes(4).toString('hex');
  const context = createContext(config);
  const { log, metrics, readiness, tracing } = context;
  const plan = planAdapters(adapterConfig, {
    deployment: 'standalone',
    needs: NEEDS,
    clientId: `standalone-${instanceId}`,
    log,
  });
  if (config.PARLEY_RATE_LIMITS === 'off')
    log.warn('rate limits are off (PARLEY_RATE_LIMITS=off): for load tests only');
  if (config.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined) {
    await tracing.start(config.OTEL_EXPORTER_OTLP_ENDPOINT, 'parley');
  }
  metrics.collectProcess();
  readiness.set('services', false);
  const internal = await internalServer(config, context);

  const adapters = await openAdapters({
    plan,
    needs: NEEDS,
    context,
    dataDir: adapterConfig.PARLEY_DATA_DIR,
    presenceTtlMs: config.PARLEY_PRESENCE_OFFLINE_AFTER_MS,
    fatal: (error) => {
      log.fatal({ err: error }, 'cannot go on');
      end('an engine gave up');
    },
  });
  const { address, doorAddress } = adapters.links;
  // One process, one life: whatever it finds in its databases is of an earlier one.
  const self: Self = { instanceId, address, doorAddress, region: 'local', epoch: () => 1, version: VERSION };
  const ports = new Map([
    ...adapters.ports,
    [PORTS.context, context],
    [PORTS.environment, env],
    [PORTS.self, self],
    [PORTS.end, end],
  ]);
  const app = await NestFactory.create(StandaloneModule.compose(ports), { logger: false, abortOnError: false });
  const chat = app.get(ChatService);
  const gateway = app.get(GatewayService);
  const routing = app.get(RoutingService);
  const delivery = app.get(DeliveryService);
  const presence = app.get(PresenceService);
  const push = app.get(PushNotificationService);
  app.useWebSocketAdapter(new ChatSocketAdapter(app, chat));
  await app.init();

  const served = [
    adapters.links.serve('directory', address, gateway.link),
    adapters.links.serve('routing', address, routing),
    adapters.links.serve('presence', address, presence),
    adapters.links.serve('chat', address, chat),
    adapters.links.serve('chatDoor', doorAddress, chat),
    adapters.links.serve('delivery', address, delivery),
  ];
  const registration = { address, region: 'local', version: VERSION, state: 'ready' } as const;
  const leases = await Promise.all(
    (['routing', 'presence', 'delivery', 'push-notification'] as const).map((service) =>
      adapters.discovery.register({
        ...registration,
        service,
        instanceId: `${service}-${instanceId}` as InstanceId,
      }),
    ),
  );
  // Readers before writers: nothing is published that nobody hears.
  await gateway.start();
  await push.start();
  await delivery.start();
  await presence.start();
  await chat.start();
  await routing.start();
  await gateway.open(config.PARLEY_PORT, config.PARLEY_HOST);
  readiness.set('services', true);
  log.info({ port: gateway.port, internalPort: internal.port, dataDir: adapterConfig.PARLEY_DATA_DIR }, 'ready');

  return {
    port: gateway.port,
    internalPort: internal.port,
    context,
    async stop() {
      readiness.set('services', false);
      await chat.stop();
      await gateway.stop();
      await routing.stop();
      await delivery.stop();
      await presence.stop();
      await push.stop();
      for (const lease of leases) await lease.revoke();
      for (const service of served) service.close();
      await app.close();
      await adapters.close();
      await internal.close();
      await tracing.stop();
    },
  };
}

function createContext(config: StandaloneConfig): ServiceContext {
  return {
    clock: systemClock,
    random: Math.random,
    log: createLogger({ level: config.PARLEY_LOG_LEVEL, service: 'standalone' }),
    metrics: new Metrics(),
    tracing: new Tracing(),
    readiness: new Readiness(),
  };
}

/** On the configured port; where none is configured, beside the public one if that is free. */
async function internalServer(config: StandaloneConfig, context: ServiceContext): Promise<InternalServer> {
  const { readiness, metrics, log } = context;
  const start = (port: number): Promise<InternalServer> =>
    startInternalServer({ port, host: config.PARLEY_INTERNAL_HOST, readiness, metrics });
  if (config.PARLEY_INTERNAL_PORT >= 0) return start(config.PARLEY_INTERNAL_PORT);
  if (config.PARLEY_PORT === 0) return start(0);
  try {
    return await start(config.PARLEY_PORT + 1);
  } catch (error) {
    log.warn({ err: error, port: config.PARLEY_PORT + 1 }, 'the internal port is taken; using another');
    return start(0);
  }
}
