import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { ConversationLogConfig } from '@parley/conversation-log';
import type { DirectoryConfig } from '@parley/directory';
import type { DiscoveryConfig } from '@parley/discovery';
import type { EventBusConfig } from '@parley/event-bus';
import type { LinksConfig } from '@parley/links';
import type { RedisConfig } from '@parley/redis-client';
import { ConfigError, type Logger } from '@parley/service-kit';

import type { AdapterConfig } from './config.js';

/** What a service can ask for, by the name that it has in `PORTS`. */
export type PortName =
  | 'conversationLog'
  | 'directory'
  | 'eventBus'
  | 'frameBus'
  | 'sessionRegistry'
  | 'presenceStore'
  | 'rateLimiter'
  | 'headCache'
  | 'discovery'
  | 'links'
  | 'chatServers'
  | 'routingServers'
  | 'routing'
  | 'directoryLink'
  | 'presence'
  | 'deliveryLink'
  | 'ticketKey';

/** One process with everything in it, or one of many: the defaults differ, and embedded adapters serve one process only. */
export type Deployment = 'standalone' | 'cluster';

/** The adapter of every port that is asked for, complete and checked; nothing is opened yet. */
export interface Plan {
  readonly log: ConversationLogConfig | undefined;
  readonly directory: DirectoryConfig | undefined;
  readonly bus: EventBusConfig | undefined;
  readonly frames: 'in-process' | 'redis' | undefined;
  readonly sessions: 'in-process' | 'redis' | undefined;
  readonly presence: 'in-process' | 'redis' | undefined;
  readonly limiter: 'in-process' | 'redis' | undefined;
  readonly headCache: 'in-process' | 'redis' | undefined;
  readonly discovery: DiscoveryConfig;
  readonly links: LinksConfig;
  readonly redis: RedisConfig | undefined;
  readonly ticketKey: string | undefined;
}

export interface PlanInputs {
  readonly deployment: Deployment;
  readonly needs: ReadonlySet<PortName>;
  /** Names this process to the engines. */
  readonly clientId: string;
  readonly log: Logger;
}

/** Decides every adapter from the settings; throws a ConfigError that names each setting which is missing or wrong. */
export function planAdapters(config: AdapterConfig, { deployment, needs, clientId, log: logger }: PlanInputs): Plan {
  const settings = new Settings(config);
  const choose = <T extends string>(port: PortName, setting: keyof AdapterConfig, embedded: T, networked: T) => {
    if (!needs.has(port)) return undefined;
    const chosen = (config[setting] ?? (deployment === 'standalone' ? embedded : networked)) as T;
    if (deployment === 'cluster' && chosen === embedded) {
      settings.problem(setting, `${embedded} serves one process only; ${networked} is for several`);
    }
    return chosen;
  };
  const log = choose('conversationLog', 'PARLEY_CONVERSATION_LOG', 'sqlite', 'cassandra');
  const directory = choose('directory', 'PARLEY_DIRECTORY', 'sqlite', 'mysql');
  const bus = choose('eventBus', 'PARLEY_EVENT_BUS', 'in-process', 'kafka');
  const frames = choose('frameBus', 'PARLEY_FRAME_BUS', 'in-process', 'redis');
  const sessions = choose('sessionRegistry', 'PARLEY_SESSION_REGISTRY', 'in-process', 'redis');
  const presence = choose('presenceStore', 'PARLEY_PRESENCE_STORE', 'in-process', 'redis');
  const limiter = choose('rateLimiter', 'PARLEY_RATE_LIMITER', 'in-process', 'redis');
  const headCache = choose('headCache', 'PARLEY_HEAD_CACHE', 'in-process', 'redis');
  const discovery = choose('discovery', 'PARLEY_DISCOVERY', 'in-process', 'etcd');
  const links = choose('links', 'PARLEY_LINKS', 'in-process', 'grpc');
  if (deployment === 'standalone') {
    if (discovery === 'etcd') settings.problem('PARLEY_DISCOVERY', 'a standalone process is not discovered by others');
    if (links === 'grpc') settings.problem('PARLEY_LINKS', 'a standalone process has no peers');
  }
  const plan: Plan = {
    log: log && logConfig(log, settings),
    directory: directory && directoryConfig(directory, settings),
    bus: bus && busConfig(bus, settings, clientId),
    frames,
    sessions,
    presence,
    limiter,
    headCache,
    discovery: discovery === 'etcd' ? etcdConfig(settings) : { adapter: 'in-process' },
    links: links === 'grpc' ? linksConfig(settings, logger) : { adapter: 'in-process' },
    redis: [frames, sessions, presence, limiter, headCache].includes('redis') ? redisConfig(settings) : undefined,
    ticketKey:
      needs.has('ticketKey') && deployment === 'cluster'
        ? settings.need('PARLEY_TICKET_KEY', 'of gateways and chat servers')
        : config.PARLEY_TICKET_KEY,
  };
  settings.check();
  return plan;
}

/** The engines that keep something: what a migration makes ready, and what operators look into. */
export function planEngines(config: AdapterConfig, clientId: string) {
  const settings = new Settings(config);
  const plan = {
    log: {
      ...cassandraConnection(settings),
      replication: {
        factor: config.PARLEY_CASSANDRA_REPLICATION,
        datacenter: settings.need('PARLEY_CASSANDRA_DATACENTER', 'by cassandra'),
      },
    },
    directory: { adapter: 'mysql' as const, ...mysqlConnection(settings) },
    bus: { ...kafkaConnection(settings, clientId), replicationFactor: config.PARLEY_KAFKA_REPLICATION },
  };
  settings.check();
  return plan;
}

/** The settings, and what is wrong with them: everything is said at once. */
class Settings {
  readonly #problems: string[] = [];

  constructor(readonly config: AdapterConfig) {}

  problem(setting: keyof AdapterConfig, what: string): void {
    this.#problems.push(`${setting}: ${what}`);
  }

  /** The setting's value, or a problem and an empty one: `check` comes before anything is used. */
  need<K extends keyof AdapterConfig>(setting: K, why: string): NonNullable<AdapterConfig[K]> {
    const value = this.config[setting];
    if (value === undefined) this.problem(setting, `is missing, and needed ${why}`);
    return value as NonNullable<AdapterConfig[K]>;
  }

  /** Both or neither. */
  credentials(user: keyof AdapterConfig, password: keyof AdapterConfig) {
    const [username, secret] = [this.config[user], this.config[password]];
    if (username === undefined && secret === undefined) return undefined;
    if (username === undefined) this.problem(user, `is missing beside ${password}`);
    if (secret === undefined) this.problem(password, `is missing beside ${user}`);
    return { username: String(username), password: String(secret) };
  }

  /** The text of a PEM file that a setting names. */
  pem(setting: keyof AdapterConfig): string | undefined {
    const path = this.config[setting];
    if (path === undefined) return undefined;
    try {
      return readFileSync(String(path), 'utf8');
    } catch (error) {
      this.problem(setting, `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  check(): void {
    if (this.#problems.length > 0) throw new ConfigError(this.#problems);
  }
}

function logConfig(adapter: 'sqlite' | 'cassandra', settings: Settings): ConversationLogConfig {
  switch (adapter) {
    case 'sqlite':
      return { adapter, directory: join(settings.config.PARLEY_DATA_DIR, 'log') };
    case 'cassandra':
      return { adapter, ...cassandraConnection(settings) };
  }
}

function cassandraConnection(settings: Settings) {
  const { config } = settings;
  const ca = settings.pem('PARLEY_CASSANDRA_TLS_CA');
  const credentials = settings.credentials('PARLEY_CASSANDRA_USERNAME', 'PARLEY_CASSANDRA_PASSWORD');
  return {
    contactPoints: settings.need('PARLEY_CASSANDRA_CONTACT_POINTS', 'by cassandra'),
    datacenter: settings.need('PARLEY_CASSANDRA_DATACENTER', 'by cassandra'),
    keyspace: config.PARLEY_CASSANDRA_KEYSPACE,
    connectTimeoutMs: config.PARLEY_ENGINE_CONNECT_TIMEOUT_MS,
    ...(credentials === undefined ? {} : { credentials }),
    ...(ca === undefined ? {} : { tls: { ca } }),
  };
}

function directoryConfig(adapter: 'sqlite' | 'mysql', settings: Settings): DirectoryConfig {
  switch (adapter) {
    case 'sqlite':
      return { adapter, directory: join(settings.config.PARLEY_DATA_DIR, 'directory') };
    case 'mysql':
      return { adapter, ...mysqlConnection(settings) };
  }
}

function mysqlConnection(settings: Settings) {
  const { config } = settings;
  const ca = settings.pem('PARLEY_MYSQL_TLS_CA');
  return {
    url: settings.need('PARLEY_MYSQL_URL', 'by mysql'),
    connections: config.PARLEY_MYSQL_CONNECTIONS_MAX,
    connectTimeoutMs: config.PARLEY_ENGINE_CONNECT_TIMEOUT_MS,
    ...(ca === undefined ? {} : { tls: { ca } }),
  };
}

function busConfig(adapter: 'in-process' | 'kafka', settings: Settings, clientId: string): EventBusConfig {
  switch (adapter) {
    case 'in-process':
      return { adapter };
    case 'kafka':
      return { adapter, ...kafkaConnection(settings, clientId) };
  }
}

function kafkaConnection(settings: Settings, clientId: string) {
  const { config } = settings;
  const ca = settings.pem('PARLEY_KAFKA_TLS_CA');
  const credentials = settings.credentials('PARLEY_KAFKA_USERNAME', 'PARLEY_KAFKA_PASSWORD');
  return {
    brokers: settings.need('PARLEY_KAFKA_BROKERS', 'by kafka'),
    clientId,
    connectTimeoutMs: config.PARLEY_ENGINE_CONNECT_TIMEOUT_MS,
    ...(config.PARLEY_KAFKA_TOPIC_PREFIX === undefined ? {} : { prefix: config.PARLEY_KAFKA_TOPIC_PREFIX }),
    ...(credentials === undefined ? {} : { credentials: { mechanism: 'scram-sha-512' as const, ...credentials } }),
    ...(ca === undefined ? {} : { tls: { ca } }),
  };
}

function redisConfig(settings: Settings): RedisConfig {
  const { config } = settings;
  if (config.PARLEY_REDIS_URL !== undefined && config.PARLEY_REDIS_CLUSTER !== undefined) {
    settings.problem('PARLEY_REDIS_CLUSTER', 'one of it and PARLEY_REDIS_URL, not both');
  }
  const ca = settings.pem('PARLEY_REDIS_TLS_CA');
  if (config.PARLEY_REDIS_USERNAME !== undefined && config.PARLEY_REDIS_PASSWORD === undefined) {
    settings.problem('PARLEY_REDIS_PASSWORD', 'is missing beside PARLEY_REDIS_USERNAME');
  }
  return {
    ...(config.PARLEY_REDIS_CLUSTER === undefined
      ? { url: settings.need('PARLEY_REDIS_URL', 'by redis (or PARLEY_REDIS_CLUSTER)') }
      : { cluster: config.PARLEY_REDIS_CLUSTER.map(addressOf) }),
    keyPrefix: config.PARLEY_REDIS_KEY_PREFIX,
    connectTimeoutMs: config.PARLEY_ENGINE_CONNECT_TIMEOUT_MS,
    ...(config.PARLEY_REDIS_USERNAME === undefined ? {} : { username: config.PARLEY_REDIS_USERNAME }),
    ...(config.PARLEY_REDIS_PASSWORD === undefined ? {} : { password: config.PARLEY_REDIS_PASSWORD }),
    ...(ca === undefined ? {} : { tls: { ca } }),
  };
}

function addressOf(hostPort: string) {
  const at = hostPort.lastIndexOf(':');
  return { host: hostPort.slice(0, at), port: Number(hostPort.slice(at + 1)) };
}

function etcdConfig(settings: Settings): DiscoveryConfig {
  const { config } = settings;
  const ca = settings.pem('PARLEY_ETCD_TLS_CA');
  const credentials = settings.credentials('PARLEY_ETCD_USERNAME', 'PARLEY_ETCD_PASSWORD');
  return {
    adapter: 'etcd',
    endpoints: settings.need('PARLEY_ETCD_ENDPOINTS', 'by etcd'),
    prefix: config.PARLEY_ETCD_PREFIX,
    leaseTtlMs: config.PARLEY_LEASE_TTL_S * 1_000,
    connectTimeoutMs: config.PARLEY_ENGINE_CONNECT_TIMEOUT_MS,
    ...(credentials === undefined ? {} : { credentials }),
    ...(ca === undefined ? {} : { tls: { ca: Buffer.from(ca) } }),
  };
}

function linksConfig(settings: Settings, log: Logger): LinksConfig {
  const { config } = settings;
  const names = ['PARLEY_LINKS_TLS_CA', 'PARLEY_LINKS_TLS_CERT', 'PARLEY_LINKS_TLS_KEY'] as const;
  const given = names.filter((name) => config[name] !== undefined);
  for (const name of names) {
    if (given.length > 0 && !given.includes(name)) settings.problem(name, `is missing beside ${given.join(' and ')}`);
  }
  const [ca, cert, key] = names.map((name) => settings.pem(name));
  const advertise =
    config.PARLEY_LINKS_ADVERTISE_HOST === undefined ? {} : { advertiseHost: config.PARLEY_LINKS_ADVERTISE_HOST };
  return {
    adapter: 'grpc',
    listen: { host: config.PARLEY_LINKS_HOST, port: config.PARLEY_LINKS_PORT },
    door: { host: config.PARLEY_LINKS_HOST, port: config.PARLEY_DOOR_PORT, ...advertise },
    ...advertise,
    log,
    ...(ca === undefined || cert === undefined || key === undefined ? {} : { tls: { ca, cert, key } }),
  };
}
