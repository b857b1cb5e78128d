import { Cluster, type Counts, logPrinter, type Service } from '@parley/cluster';
import { freePort } from '@parley/load';
import { type CommitLogSync, ENGINES, type EngineName, findStack, openStack, type Stack } from '@parley/stack';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { ALL_CORES, pinGenerator } from './cores.js';
import type { Appends, Deployment } from './deployment.js';
import { sumOf } from './prometheus.js';

export interface ClusterDeploymentOptions {
  readonly counts: Partial<Counts>;
  /** When Cassandra waits for its disk; as `make stack` has it if not given. */
  readonly commitlog: CommitLogSync | undefined;
  readonly showServices: boolean;
  /** Folder for V8's CPU profiles, which every service writes when it ends. */
  readonly profiles: string | undefined;
}

/**
 * Two cores gain nothing from more; two gateways, because one may have 20,000 files open and 10,000 sessions that it
 * passes through are 20,000 sockets; two chat servers, so that what one cannot deliver alone is measured too.
 */
export const BENCH_COUNTS: Counts = {
  ...{ gateway: 2, chat: 2, routing: 1, delivery: 1, presence: 1 },
  'push-notification': 1,
};

/** What delivers: routing and the log are what accepting a message costs. */
const DELIVERING = /^(?:chat|delivery|gateway|redis)-\d+$/;
/** What holds clients' connections. */
const DOORS: readonly Service[] = ['gateway', 'chat'];

/** The six services as processes, on engines of their own; everything shares all cores, the generator too. */
export class ClusterDeployment implements Deployment {
  readonly name = 'cluster';
  readonly #stack: Stack;
  readonly #cluster: Cluster;
  readonly #counts: Counts;
  readonly #engines: ReadonlyMap<string, number>;
  /** What runs, and in which version. */
  readonly conditions: Readonly<Record<string, string>>;

  private constructor(
    stack: Stack,
    cluster: Cluster,
    running: {
      readonly counts: Counts;
      readonly engines: ReadonlyMap<string, number>;
      readonly versions: ReadonlyMap<EngineName, string>;
    },
  ) {
    this.#stack = stack;
    this.#cluster = cluster;
    this.#counts = running.counts;
    this.#engines = running.engines;
    const { commitlog, nodes } = stack.settings;
    this.conditions = {
      cluster: Object.entries(running.counts)
        .map(([service, count]) => `${count} ${service}`)
        .join(', '),
      engines: [...running.versions].map(([engine, version]) => `${engine} ${version}`).join(', '),
      durability: `${nodes} node(s) of each; Cassandra's commit log: ${commitlog} (${DURABILITY[commitlog]})`,
    };
  }

  /** On a stack that is made for it, and removed by `close`. */
  static async start(options: ClusterDeploymentOptions): Promise<ClusterDeployment> {
    pinGenerator('all cores'); // engines and services inherit it
    const cache = process.env['PARLEY_CACHE'] ?? join(homedir(), '.cache', 'parley');
    const place = { folder: join(cache, 'stack', 'bench'), cacheFolder: join(cache, 'engines') };
    await (await findStack(place))?.wipe(); // of a run that was killed
    const versions = new Map<EngineName, string>();
    const stack = await openStack({
      ...place,
      commitlog: options.commitlog,
      onProgress: (progress) => {
        if (progress.kind === 'installed') versions.set(progress.engine, progress.version);
      },
    });
    try {
      await stack.start();
      const counts = { ...BENCH_COUNTS, ...options.counts };
      const cluster = await Cluster.start({
        engines: stack.environment(),
        counts,
        gatewayPorts: await Promise.all(Array.from({ length: counts.gateway }, () => freePort())),
        cores: ALL_CORES,
        env: {
          PARLEY_RATE_LIMITS: 'off',
          PARLEY_LOG_LEVEL: 'warn',
          ...(options.profiles === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${options.profiles}` }),
        },
        onLine: options.showServices ? logPrinter((text) => void process.stdout.write(text), false) : () => undefined,
      });
      return new ClusterDeployment(stack, cluster, { counts, versions, engines: await enginesOf(stack) });
    } catch (error) {
      await stack.wipe();
      throw error;
    }
  }

  get urls(): readonly string[] {
    return this.#cluster.urls;
  }

  processes(): ReadonlyMap<string, number> {
    const services = this.#cluster.all.flatMap(({ name, pid }) => (pid === undefined ? [] : [[name, pid] as const]));
    return new Map([...services, ...this.#engines]);
  }

  delivers(process: string): boolean {
    return DELIVERING.test(process);
  }

  async prepare(): Promise<void> {
    this.pinGenerator();
  }

  /** Those that hold connections; the others keep nothing of a connection. */
  async restart(): Promise<void> {
    this.pinGenerator();
    for (const service of DOORS) {
      await this.#cluster.scale(service, 0);
      await this.#cluster.scale(service, this.#counts[service]);
    }
  }

  pinGenerator(): void {
    pinGenerator('all cores');
  }

  async appends(): Promise<Appends> {
    const urls = [...(await this.#cluster.internalUrls())].filter(([name]) => name.startsWith('routing-'));
    const texts = await Promise.all(urls.map(async ([, url]) => (await fetch(`${url}/metrics`)).text()));
    const sum = (metric: string): number => texts.reduce((all, text) => all + sumOf(text, metric), 0);
    return { batches: sum('parley_routing_batch_entries_count'), entries: sum('parley_routing_batch_entries_sum') };
  }

  async close(): Promise<void> {
    try {
      await this.#cluster.stop();
    } finally {
      await this.#stack.wipe();
    }
  }
}

const DURABILITY: Readonly<Record<CommitLogSync, string>> = {
  batch: 'on the disk before it acknowledges',
  group: 'on the disk before it acknowledges, several writes at once',
  periodic: 'acknowledges before the disk has it: what a loss of power takes is not counted against it here',
};

async function enginesOf(stack: Stack): Promise<ReadonlyMap<string, number>> {
  const running = await stack.status();
  return new Map(
    ENGINES.flatMap((engine) =>
      running.flatMap(({ node, pid }) =>
        node.engine === engine && pid !== undefined ? [[node.name, pid] as const] : [],
      ),
    ),
  );
}
