import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { ask } from './ask.js';
import type { Engine, EngineNode } from './engine.js';
import { packagesFor } from './packages.js';
import { programOf, versionOf } from './run.js';

const SLOTS = 16_384;
const NODE_TIMEOUT_MS = 2_000;
const FORM_WITHIN_MS = 30_000;
const POLL_MS = 100;

/** Redis without persistence: it holds what can be lost. Alone, or as a cluster of masters that split the slots. */
export const redis: Engine = {
  startWithinMs: 20_000,
  stopWithinMs: 10_000,

  missingPackages: () => packagesFor({ 'redis-server': 'redis-server' }),

  async install() {
    const from = await programOf('redis-server');
    return { version: await versionOf(from), from };
  },

  async prepare(node, { all }) {
    await mkdir(node.folder, { recursive: true });
    const cluster = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'];
    const clusterPorts = ['--cluster-port', String(node.peerPort), '--cluster-node-timeout', String(NODE_TIMEOUT_MS)];
    return {
      command: await programOf('redis-server'),
      args: [
        ...['--bind', node.host, '--port', String(node.port), '--dir', node.folder, '--daemonize', 'no'],
        ...['--save', '', '--appendonly', 'no'],
        ...(all.length === 1 ? [] : [...cluster, ...clusterPorts]),
      ],
    };
  },

  async probe(node, running, { redis: mode }) {
    const pong = await command(node, 'PING');
    if (pong !== 'PONG') throw new Error(`${node.name}: ${pong}`);
    if (mode === 'single' || running === 1) return;
    const { known, state } = await clusterStateOf(node);
    // Before `form` each knows only itself. With one of three gone its slots are, and the state cannot be ok.
    if (known > 1 && running === known && state !== 'ok')
      throw new Error(`${node.name}: the cluster's state is ${state}`);
  },

  async form(nodes, { redis: mode }) {
    const [first] = nodes;
    if (mode === 'single' || first === undefined) return;
    if ((await clusterStateOf(first)).known > 1) return;
    for (const [index, node] of nodes.entries()) {
      const from = Math.floor((index * SLOTS) / nodes.length);
      const to = Math.floor(((index + 1) * SLOTS) / nodes.length) - 1;
      // Different epochs, as redis-cli sets them: otherwise the nodes first have to settle who is who.
      await expectOk(node, `CLUSTER SET-CONFIG-EPOCH ${index + 1}`);
      await expectOk(node, `CLUSTER ADDSLOTSRANGE ${from} ${to}`);
    }
    for (const other of nodes.slice(1)) {
      await expectOk(first, `CLUSTER MEET ${other.host} ${other.port} ${other.peerPort}`);
    }
    await untilAllKnow(nodes);
  },
};

async function untilAllKnow(nodes: readonly EngineNode[]): Promise<void> {
  const deadlineMs = performance.now() + FORM_WITHIN_MS;
  for (;;) {
    const states = await Promise.all(nodes.map(clusterStateOf));
    if (states.every(({ known, state }) => known === nodes.length && state === 'ok')) return;
    if (performance.now() > deadlineMs) throw new Error(`the Redis cluster did not form within ${FORM_WITHIN_MS} ms`);
    await sleep(POLL_MS);
  }
}

async function expectOk(node: EngineNode, line: string): Promise<void> {
  const answer = await command(node, line);
  if (answer !== 'OK') throw new Error(`${node.name} answered ${answer} to ${line}`);
}

async function clusterStateOf(node: EngineNode): Promise<{ known: number; state: string }> {
  const info = await command(node, 'CLUSTER INFO');
  const known = Number(/^cluster_known_nodes:(\d+)/m.exec(info)?.[1]);
  return { known, state: /^cluster_state:(\w+)/m.exec(info)?.[1] ?? 'unknown' };
}

/** Sends an inline command; answers with the text of a simple, bulk or error reply. */
function command(node: EngineNode, line: string): Promise<string> {
  return ask(node, `${line}\r\n`, (received) => {
    const text = received.toString();
    const end = text.indexOf('\r\n');
    if (end === -1) return undefined;
    const head = text.slice(1, end);
    if (!text.startsWith('$')) return head;
    const from = end + 2;
    const length = Number(head);
    return received.length < from + length + 2 ? undefined : text.slice(from, from + length);
  });
}
