import { join } from 'node:path';

import type { EngineName, EngineNode, StackSettings } from './engine.js';

/** Ports between the nodes of an engine count from the first client port plus this. */
const PEER_OFFSET = 100;
const REDIS_CLUSTER_MASTERS = 3;

type Shape = Pick<StackSettings, 'nodes' | 'redis'>;

export function nodeCountOf(engine: EngineName, { nodes, redis }: Shape): number {
  switch (engine) {
    case 'kafka':
    case 'cassandra':
    case 'etcd':
      return nodes;
    case 'redis':
      return redis === 'cluster' ? REDIS_CLUSTER_MASTERS : 1;
    case 'mysql':
      return 1;
    default:
      return engine satisfies never;
  }
}

/** Where each node listens. Cassandra's differ by address, as its drivers expect one port for all; the others by port. */
export function addressesOf(
  engine: EngineName,
  firstPort: number,
  shape: Shape,
): readonly { readonly host: string; readonly port: number; readonly peerPort: number }[] {
  return Array.from({ length: nodeCountOf(engine, shape) }, (_, index) =>
    engine === 'cassandra'
      ? { host: `127.0.0.${index + 1}`, port: firstPort, peerPort: firstPort + PEER_OFFSET }
      : { host: '127.0.0.1', port: firstPort + index, peerPort: firstPort + PEER_OFFSET + index },
  );
}

export function nodesOf(engine: EngineName, settings: StackSettings, folder: string): readonly EngineNode[] {
  return addressesOf(engine, settings.ports[engine], settings).map((address, index) => {
    const name = `${engine}-${index + 1}`;
    return {
      ...address,
      engine,
      node: index + 1,
      name,
      folder: join(folder, name),
      logFile: join(folder, 'logs', `${name}.log`),
    };
  });
}
