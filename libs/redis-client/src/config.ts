/** Where Redis is and how to speak to it; 7.0 or later, for sharded publish and subscribe. */
export type RedisConfig = RedisPlace & RedisAccess;

/** One server by URL, one that Sentinels name, or a Redis Cluster by some of its nodes. */
export type RedisPlace =
  | { readonly url: string }
  | { readonly sentinels: readonly RedisAddress[]; readonly name: string; readonly sentinelPassword?: string }
  | { readonly cluster: readonly RedisAddress[] };

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

export interface RedisAccess {
  readonly username?: string;
  readonly password?: string;
  /** With it the connection is encrypted; `ca` is PEM, where the system's authorities do not know the server's. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** Before every key and channel, so that several installations share a server. */
  readonly keyPrefix?: string;
  /** How long `connectRedis` goes on trying. */
  readonly connectTimeoutMs?: number;
  /** After this long without an answer a call is `unavailable`. */
  readonly commandTimeoutMs?: number;
  /** Told when the connection goes and when it comes back, for the log. */
  readonly onReachable?: (reachable: boolean, reason: string) => void;
}

export const DEFAULTS = {
  keyPrefix: 'parley:',
  connectTimeoutMs: 30_000,
  commandTimeoutMs: 1_000,
} as const;

/** For messages: where it is, without credentials. */
export function addressOf(config: RedisPlace): string {
  if ('url' in config) {
    const { hostname, port } = new URL(config.url);
    return `${hostname}:${port === '' ? 6379 : port}`;
  }
  const nodes = 'cluster' in config ? config.cluster : config.sentinels;
  const list = nodes.map(({ host, port }) => `${host}:${port}`).join(', ');
  return 'cluster' in config ? `cluster ${list}` : `${config.name} by sentinel ${list}`;
}
