import { randomBytes } from 'node:crypto';

import { type DynamicModule, Global, type INestApplication, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { InstanceId } from '@parley/contracts';
import { Registration, type ServiceName } from '@parley/discovery';
import type { LinkName, LinkServices } from '@parley/links';
import {
  ConfigError,
  createLogger,
  intSetting,
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

import { adapterSettings, type ProcessConfig, processSettings } from './config.js';
import { openAdapters } from './open.js';
import { planAdapters, type PortName } from './plan.js';

/** How long a process may take to stop by itself, beyond what its service needs to drain. */
const STOP_DEADLINE_MS = 30_000;
const RENEW_PAUSE_MS = 1_000;
/** Configuration that a process cannot start with (sysexits.h, EX_CONFIG): no use in starting again. */
const EXIT_CONFIG = 78;

/** Offers the ports, by token, to the modules of the services. */
@Global()
@Module({})
export class PortsModule {
  static of(ports: ReadonlyMap<symbol, unknown>): DynamicModule {
    const providers = [...ports].map(([provide, useValue]) => ({ provide, useValue }));
    return { module: PortsModule, providers, exports: [...ports.keys()] };
  }
}

@Module({})
class ProcessModule {
  static compose(ports: ReadonlyMap<symbol, unknown>, service: DynamicModule): DynamicModule {
    return { module: ProcessModule, imports: [PortsModule.of(ports), service] };
  }
}

/** What a service's `start` is given. */
export interface Runtime {
  readonly app: INestApplication;
  readonly self: Self;
  readonly env: NodeJS.ProcessEnv;
  /** Offers a link at this process's address. */
  serve<K extends LinkName>(link: K, service: LinkServices[K]): void;
  /** Lists the instance; services that keep their own registration do not call it. */
  register(): Promise<void>;
  /** Ends the process in order: another one is this instance now, or something cannot be repaired from within. */
  end(reason: string): void;
}

export interface ServiceDefinition {
  readonly service: ServiceName;
  readonly needs: readonly PortName[];
  readonly module: DynamicModule;
  /** Resolves when the service takes traffic. */
  start(runtime: Runtime): Promise<Started>;
}

export interface Started {
  /** Takes nothing new and finishes what is under way. */
  stop(): Promise<void>;
  /** How long telling everybody to go elsewhere takes now; 0 unless given. */
  drainMs?(): number;
}

/** Runs one service as a process: settings, engines, health, lease, signals. Never returns before the process ends. */
export async function runService(definition: ServiceDefinition): Promise<void> {
  try {
    const running = await startService(definition, process.env, (reason) => stop(reason, 1));
    const { log } = running.context;
    let stopping = false;
    function stop(reason: string, code: number): void {
      if (stopping) return;
      stopping = true;
      log.info({ reason }, 'stopping');
      setTimeout(() => {
        log.error('did not stop in time');
        process.exit(1);
      }, STOP_DEADLINE_MS + running.drainMs()).unref();
      running.stop().then(
        () => process.exit(code),
        (error: unknown) => {
          log.error({ err: error }, 'stopping failed');
          process.exit(1);
        },
      );
    }
    process.on('SIGTERM', () => stop('SIGTERM', 0));
    process.on('SIGINT', () => stop('SIGINT', 0));
    // Whoever started this process with a channel to it, and looks after it, has died.
    process.on('disconnect', () => stop('its runner is gone', 1));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(error instanceof ConfigError ? EXIT_CONFIG : 1);
  }
}

export interface RunningService {
  readonly context: ServiceContext;
  readonly internalPort: number;
  /** How long telling everybody to go elsewhere takes now. */
  drainMs(): number;
  stop(): Promise<void>;
}

/** As `runService`, for those who keep the process. */
export async function startService(
  { service, needs: needed, module, start }: ServiceDefinition,
  env: NodeJS.ProcessEnv,
  end: (reason: string) => void,
): Promise<RunningService> {
  const settings = readConfig(processSettings, env);
  const { PARLEY_INTERNAL_PORT } = readConfig(internalSettings, env);
  const adapterConfig = readConfig(adapterSettings, env);
  const instanceId = settings.PARLEY_INSTANCE_ID ?? randomBytes(4).toString('hex');
  const needs: ReadonlySet<PortName> = new Set([...needed, 'discovery', 'links']);
  const context = await createContext(service, settings);
  const { log, readiness, tracing, metrics } = context;
  const clientId = `${service}-${instanceId}`;
  const plan = planAdapters(adapterConfig, { deployment: 'cluster', needs, clientId, log });
  readiness.set(service, false);
  const internal = await startInternalServer({
    port: PARLEY_INTERNAL_PORT,
    host: settings.PARLEY_INTERNAL_HOST,
    readiness,
    metrics,
  });
  const adapters = await openAdapters({
    plan,
    needs,
    context,
    dataDir: adapterConfig.PARLEY_DATA_DIR,
    presenceTtlMs: settings.PARLEY_PRESENCE_OFFLINE_AFTER_MS,
    fatal: (error) => {
      log.fatal({ err: error }, 'cannot go on');
      end('an engine gave up');
    },
  });
  let registration: Registration | undefined;
  const self: Self = {
    instanceId,
    address: adapters.links.address,
    doorAddress: adapters.links.doorAddress,
    region: settings.PARLEY_REGION,
    epoch: () => registration?.epoch ?? 0,
    version: VERSION,
  };
  const ports = new Map([
    ...adapters.ports,
    [PORTS.context, context],
    [PORTS.environment, env],
    [PORTS.self, self],
    [PORTS.end, end],
  ]);
  const app = await NestFactory.create(ProcessModule.compose(ports, module), { logger: false, abortOnError: false });
  const served: { close(): void }[] = [];
  const started = await start({
    app,
    self,
    env,
    end,
    serve(link, of) {
      const address = link === 'chatDoor' ? self.doorAddress : self.address;
      served.push(adapters.links.serve(link, address, of));
    },
    async register() {
      registration = await Registration.open(
        adapters.discovery,
        {
          service,
          instanceId: `${service}-${instanceId}` as InstanceId,
          address: self.address,
          region: self.region,
          version: VERSION,
          state: 'ready',
        },
        {
          taken: () => end('another process is this instance now'),
          failed: (error) => log.warn({ err: error }, 'not registered yet'),
          pause: () => new Promise((resolve) => void context.clock.after(RENEW_PAUSE_MS, resolve)),
        },
      );
    },
  });
  readiness.set(service, true);
  log.info({ instanceId, address: self.address, internalPort: internal.port }, 'ready');
  // To whoever started this process with a channel to it, and waits.
  process.send?.({ ready: true, internalPort: internal.port });
  return {
    context,
    internalPort: internal.port,
    drainMs: () => started.drainMs?.() ?? 0,
    async stop() {
      readiness.set(service, false);
      await registration?.update({ state: 'draining' }).catch((error: unknown) => {
        log.warn({ err: error }, 'the others do not know that this instance stops');
      });
      await started.stop();
      for (const each of served) each.close();
      await registration?.revoke();
      await app.close();
      await adapters.close();
      await internal.close();
      await tracing.stop();
    },
  };
}

const internalSettings = processSettings.extend({
  /** `/healthz`, `/readyz`, `/metrics`; 0: any that is free. */
  PARLEY_INTERNAL_PORT: intSetting(0, 0, 65_535),
});

async function createContext(service: ServiceName, settings: ProcessConfig): Promise<ServiceContext> {
  const context: ServiceContext = {
    clock: systemClock,
    random: Math.random,
    log: createLogger({ level: settings.PARLEY_LOG_LEVEL, service }),
    metrics: new Metrics(),
    tracing: new Tracing(),
    readiness: new Readiness(),
  };
  if (settings.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined) {
    await context.tracing.start(settings.OTEL_EXPORTER_OTLP_ENDPOINT, `parley-${service}`);
  }
  context.metrics.collectProcess();
  return context;
}
