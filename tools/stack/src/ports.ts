import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';

import { ENGINES, type EngineName, type StackSettings } from './engine.js';
import { addressesOf } from './nodes.js';

const LOWEST_PORT = 20_000;
/** Where Linux takes the ports of outgoing connections from, unless told otherwise. */
const EPHEMERAL_FROM = 32_768;
const ATTEMPTS_MAX = 200;

type Shape = Pick<StackSettings, 'nodes' | 'redis'>;
type Ports = Readonly<Record<EngineName, number>>;

export interface PortChoice {
  readonly shape: Shape;
  /** Ports that are not to be chosen, but taken. */
  readonly configured?: Partial<Ports> | undefined;
  /** Ports of other stacks, which may be down at the moment. */
  readonly taken?: ReadonlySet<number>;
  readonly random?: () => number;
  readonly isFree?: (host: string, port: number) => Promise<boolean>;
  readonly ephemeralFrom?: number;
}

/**
 * The first client port of each engine. They are below those of outgoing connections: a stack keeps its ports, and while
 * an engine of it is down, no connection of somebody else must be able to take one.
 */
export async function choosePorts(choice: PortChoice): Promise<Ports> {
  const { shape, configured = {}, random = Math.random, isFree = portIsFree } = choice;
  const top = choice.ephemeralFrom ?? (await firstEphemeralPort());
  const taken = new Set(choice.taken);
  const chosen: Partial<Record<EngineName, number>> = {};
  for (const engine of ENGINES) {
    const port = configured[engine];
    if (port === undefined) continue;
    for (const needed of portsOf(engine, port, shape)) taken.add(needed.port);
    chosen[engine] = port;
  }
  for (const engine of ENGINES) chosen[engine] ??= await chooseFor(engine);
  return complete(chosen);

  async function chooseFor(engine: EngineName): Promise<number> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const first = LOWEST_PORT + Math.floor(random() * (top - LOWEST_PORT));
      const needed = portsOf(engine, first, shape);
      if (needed.some(({ port }) => port >= top || taken.has(port))) continue;
      const free = await Promise.all(needed.map(({ host, port }) => isFree(host, port)));
      if (free.includes(false)) continue;
      for (const { port } of needed) taken.add(port);
      return first;
    }
    throw new Error(`no free ports for ${engine} between ${LOWEST_PORT} and ${top} in ${ATTEMPTS_MAX} attempts`);
  }
}

/** Everything that an engine listens on. */
export function portsOf(
  engine: EngineName,
  first: number,
  shape: Shape,
): readonly { readonly host: string; readonly port: number }[] {
  return addressesOf(engine, first, shape).flatMap(({ host, port, peerPort }) => [
    { host, port },
    { host, port: peerPort },
  ]);
}

function complete(ports: Partial<Record<EngineName, number>>): Ports {
  const { kafka, cassandra, redis, mysql, etcd } = ports;
  if (!(kafka && cassandra && redis && mysql && etcd)) throw new Error('an engine has no port');
  return { kafka, cassandra, redis, mysql, etcd };
}

function portIsFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

async function firstEphemeralPort(): Promise<number> {
  const [first] = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')).split(/\s+/);
  const port = Number(first);
  // A machine that gives out nearly every port leaves no room below; then theirs is as good as any.
  return port >= LOWEST_PORT + 1_000 ? port : EPHEMERAL_FROM;
}
