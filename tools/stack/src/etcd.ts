import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { ask } from './ask.js';
import type { Engine, EngineNode } from './engine.js';
import { packagesFor } from './packages.js';
import { programOf, versionOf } from './run.js';

const clientUrl = ({ host, port }: EngineNode): string => `http://${host}:${port}`;
const peerUrl = ({ host, peerPort }: EngineNode): string => `http://${host}:${peerPort}`;

export const etcd: Engine = {
  startWithinMs: 30_000,
  stopWithinMs: 3_000,

  missingPackages: () => packagesFor({ etcd: 'etcd-server' }),

  async install() {
    const from = await programOf('etcd');
    return { version: await versionOf(from), from };
  },

  async prepare(node, { all }) {
    await mkdir(node.folder, { recursive: true });
    return {
      command: await programOf('etcd'),
      args: [
        ...['--name', node.name, '--data-dir', join(node.folder, 'data')],
        ...['--listen-client-urls', clientUrl(node), '--advertise-client-urls', clientUrl(node)],
        ...['--listen-peer-urls', peerUrl(node), '--initial-advertise-peer-urls', peerUrl(node)],
        ...['--initial-cluster', all.map((each) => `${each.name}=${peerUrl(each)}`).join(',')],
        ...['--logger', 'zap'],
      ],
    };
  },

  /** Healthy is a member that can read through the quorum. */
  async probe(node) {
    const request = `GET /health HTTP/1.0\r\nHost: ${node.host}\r\n\r\n`;
    const answer = await ask(node, request, (received) => /\{.*\}/.exec(received.toString())?.[0]);
    if (!answer.includes('"true"')) throw new Error(`${node.name}: ${answer}`);
  },
};
