import { intSetting } from '@parley/service-kit';
import { z } from 'zod';

/** `a:1,b:2` as a list; at least one. */
const list = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  )
  .pipe(z.array(z.string().min(1)).min(1));
const hostPort = z.string().regex(/^[^\s:]+:\d{1,5}$/, 'must be host:port');
const text = z.string().min(1);

/** Which adapter every port has, and where its engine is. An embedded adapter serves one process and only that. */
export const adapterSettings = z.object({
  PARLEY_CONVERSATION_LOG: z.enum(['sqlite', 'cassandra']).optional(),
  PARLEY_DIRECTORY: z.enum(['sqlite', 'mysql']).optional(),
  PARLEY_EVENT_BUS: z.enum(['in-process', 'kafka']).optional(),
  PARLEY_SESSION_REGISTRY: z.enum(['in-process', 'redis']).optional(),
  PARLEY_PRESENCE_STORE: z.enum(['in-process', 'redis']).optional(),
  PARLEY_RATE_LIMITER: z.enum(['in-process', 'redis']).optional(),
  PARLEY_HEAD_CACHE: z.enum(['in-process', 'redis']).optional(),
  PARLEY_FRAME_BUS: z.enum(['in-process', 'redis']).optional(),
  PARLEY_DISCOVERY: z.enum(['in-process', 'etcd']).optional(),
  PARLEY_LINKS: z.enum(['in-process', 'grpc']).optional(),
  /** Folder of the embedded databases; made when it does not exist. */
  PARLEY_DATA_DIR: text.default('.data'),
  /** How long a start waits for an engine that does not answer yet. */
  PARLEY_ENGINE_CONNECT_TIMEOUT_MS: intSetting(30_000, 100, 600_000),

  PARLEY_CASSANDRA_CONTACT_POINTS: list.pipe(z.array(hostPort)).optional(),
  PARLEY_CASSANDRA_DATACENTER: text.optional(),
  PARLEY_CASSANDRA_KEYSPACE: text.regex(/^[a-z][a-z0-9_]{0,47}$/, 'must be a lower-case name').default('parley'),
  PARLEY_CASSANDRA_USERNAME: text.optional(),
  PARLEY_CASSANDRA_PASSWORD: text.optional(),
  PARLEY_CASSANDRA_TLS_CA: text.optional(),
  /** Copies of each row that the migration asks for when it makes the keyspace. */
  PARLEY_CASSANDRA_REPLICATION: intSetting(3, 1, 9),

  PARLEY_MYSQL_URL: z.url({ protocol: /^mysql$/ }).optional(),
  PARLEY_MYSQL_CONNECTIONS_MAX: intSetting(16, 1, 1_000),
  PARLEY_MYSQL_TLS_CA: text.optional(),

  PARLEY_KAFKA_BROKERS: list.pipe(z.array(hostPort)).optional(),
  PARLEY_KAFKA_TOPIC_PREFIX: text.regex(/^[A-Za-z0-9._-]{1,64}$/, 'has characters that Kafka does not take').optional(),
  PARLEY_KAFKA_USERNAME: text.optional(),
  PARLEY_KAFKA_PASSWORD: text.optional(),
  PARLEY_KAFKA_TLS_CA: text.optional(),
  /** Copies of each record that the migration asks for when it makes the topics. */
  PARLEY_KAFKA_REPLICATION: intSetting(3, 1, 9),

  PARLEY_REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  /** Nodes of a Redis Cluster, instead of a URL. */
  PARLEY_REDIS_CLUSTER: list.pipe(z.array(hostPort)).optional(),
  PARLEY_REDIS_USERNAME: text.optional(),
  PARLEY_REDIS_PASSWORD: text.optional(),
  PARLEY_REDIS_TLS_CA: text.optional(),
  PARLEY_REDIS_KEY_PREFIX: text.default('parley:'),

  PARLEY_ETCD_ENDPOINTS: list.pipe(z.array(z.url({ protocol: /^https?$/ }))).optional(),
  PARLEY_ETCD_PREFIX: text.default('/parley'),
  PARLEY_ETCD_USERNAME: text.optional(),
  PARLEY_ETCD_PASSWORD: text.optional(),
  PARLEY_ETCD_TLS_CA: text.optional(),
  /** Without a sign of life for this long an instance is gone for the others. */
  PARLEY_LEASE_TTL_S: intSetting(10, 2, 600),

  /** Where gRPC listens, and what others are told: by default the address that it listens at. */
  PARLEY_LINKS_HOST: text.default('127.0.0.1'),
  PARLEY_LINKS_PORT: intSetting(0, 0, 65_535),
  PARLEY_LINKS_ADVERTISE_HOST: text.optional(),
  /** Chat servers: where the gateway passes connections to. */
  PARLEY_DOOR_PORT: intSetting(0, 0, 65_535),
  /** Files: mutual TLS between the services. All three or none. */
  PARLEY_LINKS_TLS_CA: text.optional(),
  PARLEY_LINKS_TLS_CERT: text.optional(),
  PARLEY_LINKS_TLS_KEY: text.optional(),

  /** Signs the tickets that sessions are opened with: the same in every gateway and chat server. */
  PARLEY_TICKET_KEY: z
    .string()
    .regex(/^[A-Za-z0-9_-]{43,}$/, 'must be 32 bytes or more, base64url')
    .optional(),
});
export type AdapterConfig = z.output<typeof adapterSettings>;

/** What every process has, whatever it runs. */
export const processSettings = z.object({
  /** How the others know this process, also after a restart; by default a new one each time. */
  PARLEY_INSTANCE_ID: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,40}$/, 'must be letters, digits and hyphens')
    .optional(),
  /** A person is offline this long after the last sign of life. */
  PARLEY_PRESENCE_OFFLINE_AFTER_MS: intSetting(30_000, 1_000, 3_600_000),
  PARLEY_REGION: text.default('local'),
  PARLEY_INTERNAL_HOST: text.default('127.0.0.1'),
  PARLEY_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** OTLP over HTTP; traces are made only when it is set. */
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url().optional(),
});
export type ProcessConfig = z.output<typeof processSettings>;
