import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';

import { DEFAULTS, type RedisConfig } from './config.js';

export type Client = Redis | Cluster;

/** ioredis' own types do not go with `exactOptionalPropertyTypes`; nobody here wants other shapes of replies. */
type Options = Omit<RedisOptions, 'replyMapping'>;

const BACKOFF_MAX_MS = 1_000;
/**
 * A cluster's node that was not reached so often is given up. When all are, the client asks for the names' addresses
 * anew, without which a cluster whose every pod came back under another address is never found again.
 */
const NODE_ATTEMPTS_MAX = 8;

export const backoffMs = (attempt: number): number => Math.min(50 * 2 ** Math.min(attempt, 8), BACKOFF_MAX_MS);

/** A client that is not connected yet. Nothing waits in it for a server that is away: a call fails at once instead. */
export function clientOf(config: RedisConfig): Client {
  const options = optionsOf(config);
  if ('url' in config) return new Redis(config.url, options);
  if ('sentinels' in config) {
    return new Redis({
      ...options,
      sentinels: config.sentinels.map(({ host, port }) => ({ host, port })),
      name: config.name,
      ...(config.sentinelPassword === undefined ? {} : { sentinelPassword: config.sentinelPassword }),
      ...(config.tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: config.tls }),
    });
  }
  const { retryStrategy: _, lazyConnect: __, ...redisOptions } = options;
  const clusterOptions: Omit<ClusterOptions, 'redisOptions'> & { redisOptions: Options } = {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: backoffMs,
    clusterNodeRetryStrategy: (attempt) => (attempt > NODE_ATTEMPTS_MAX ? null : backoffMs(attempt)),
    maxRedirections: 5,
    // ioredis would send again what met a lost node, later and in another order: frames of a room would change places.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    // How soon a failover is seen.
    slotsRefreshInterval: 2_000,
    slotsRefreshTimeout: 1_000,
    redisOptions,
  };
  const cluster = new Cluster(
    config.cluster.map(({ host, port }) => ({ host, port })),
    clusterOptions,
  );
  // Nodes are connected by their first command, and those that come meanwhile would fail.
  cluster.on('+node', (node: Redis) => {
    // A failure is a 'node error', and tried again.
    if (node.status === 'wait') node.connect().catch(() => undefined);
  });
  return cluster;
}

function optionsOf(config: RedisConfig): Options {
  const timeoutMs = config.commandTimeoutMs ?? DEFAULTS.commandTimeoutMs;
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    // In flight when the connection goes: rejected then, not sent again behind the back of a caller who gave up.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // ioredis 6 leaves the promises of its own resubscription unhandled; ShardedSubscriber does it.
    autoResubscribe: false,
    connectTimeout: timeoutMs,
    // A server that is connected and silent: the connection is given up, and from then on calls fail at once.
    socketTimeout: 2 * timeoutMs,
    retryStrategy: backoffMs,
    // A primary that a failover made a replica: the next connection goes to the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    ...(config.username === undefined ? {} : { username: config.username }),
    ...(config.password === undefined ? {} : { password: config.password }),
    ...(config.tls === undefined ? {} : { tls: config.tls }),
  };
}
