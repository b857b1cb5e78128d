import { connect, createServer, type Server, type Socket } from 'node:net';

import { script } from './calls.js';
import type { RedisConfig } from './config.js';
import { connectRedis, type RedisConnection } from './connection.js';

/** For specs that need a real server: where it is, connections that share nothing with other specs, and its absence. */

export type Kind = 'one server' | 'a cluster';

export function placeOf(kind: Kind): { url: string } | { cluster: { host: string; port: number }[] } {
  if (kind === 'one server') return { url: setting('PARLEY_REDIS_URL', 'redis://host:port') };
  const nodes = setting('PARLEY_REDIS_CLUSTER', 'host:port,… of a Redis Cluster');
  return {
    cluster: nodes.split(',').map((node) => {
      const [host = '', port = ''] = node.split(':');
      return { host, port: Number(port) };
    }),
  };
}

function setting(name: string, form: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set: this spec needs ${form}`);
  return value;
}

let prefixes = 0;
/** A prefix that no other test has. */
export function newPrefix(): string {
  prefixes += 1;
  return `test:${process.pid}.${Date.now()}.${prefixes}:`;
}

export function connectTo(kind: Kind, more: Partial<RedisConfig> = {}): Promise<RedisConnection> {
  return connectRedis({ ...placeOf(kind), keyPrefix: newPrefix(), connectTimeoutMs: 5_000, ...more } as RedisConfig);
}

const FLUSH = script(`
local cursor = '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', KEYS[1] .. '*', 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do redis.call('DEL', key) end
until cursor == '0'`);

/** Deletes everything of one prefix on one server: what a flush is for those who share it, and nobody else notices. */
export async function flush(redis: RedisConnection): Promise<void> {
  await redis.call({ script: FLUSH, keys: [redis.keyPrefix], args: [] });
}

/** A way to the server that can be cut, or go silent as a stopped process does: connected, and no answer. */
export class Way {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #silent = false;
  #open = true;

  private constructor(private readonly to: { readonly host: string; readonly port: number }) {
    this.#server = createServer((near) => {
      if (!this.#open) {
        near.destroy();
        return;
      }
      const far = connect(to.port, to.host);
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      for (const [from, into] of [pair, [far, near] as const]) {
        from.on('data', (chunk) => into.write(chunk));
        if (this.#silent) from.pause();
        from.on('error', () => into.destroy());
        from.on('close', () => {
          into.destroy();
          this.#pairs.delete(pair);
        });
      }
    });
  }

  static async to(url: string): Promise<Way> {
    const { hostname, port } = new URL(url);
    const way = new Way({ host: hostname, port: Number(port) });
    await new Promise<void>((resolve) => way.#server.listen(0, '127.0.0.1', resolve));
    return way;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error(`the way to ${this.to.host} is not open`);
    return `redis://127.0.0.1:${address.port}`;
  }

  silence(): void {
    this.#silent = true;
    for (const socket of [...this.#pairs].flat()) socket.pause();
  }

  cut(): void {
    this.#open = false;
    for (const socket of [...this.#pairs].flat()) socket.destroy();
  }

  restore(): void {
    this.#silent = false;
    this.#open = true;
    for (const socket of [...this.#pairs].flat()) socket.resume();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
