import { freePort, processStats, type ProcessStats, ServerProcess } from '@parley/load';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ALL_CORES, pinGenerator, SERVER_CORE } from './cores.js';

export type DeploymentName = 'standalone' | 'cluster';

/** What is measured: the processes of a server and the addresses at which it takes clients. */
export interface Deployment {
  readonly name: DeploymentName;
  /** Base URLs; clients are spread over them. */
  readonly urls: readonly string[];
  /** All processes by name: `server`, or `chat-1`, `kafka-1`. */
  processes(): ReadonlyMap<string, number>;
  /** Which of them take part in delivering what is accepted: their CPU time is what a delivery costs. */
  delivers(process: string): boolean;
  /** Everything may use every core: for preparations that are not measured. */
  prepare(): Promise<void>;
  /** As it is measured, in fresh processes on the same data. */
  restart(): Promise<void>;
  /** The generator's own share of the cores while this one is measured. */
  pinGenerator(): void;
  /** Batches that were appended so far, and the entries in them; where it says so. */
  appends(): Promise<Appends | undefined>;
  close(): Promise<void>;
}

export interface Appends {
  readonly batches: number;
  readonly entries: number;
}

/** The standalone server: one process, on one core. */
export class Standalone implements Deployment {
  readonly name = 'standalone';
  readonly dataDir = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  readonly #entry: string;
  readonly #output: 'inherit' | 'ignore';
  #port = 0;
  #server: ServerProcess | undefined;

  constructor(entry: string, output: 'inherit' | 'ignore') {
    this.#entry = entry;
    this.#output = output;
    process.once('exit', () => rmSync(this.dataDir, { recursive: true, force: true }));
  }

  get urls(): readonly string[] {
    return this.#server === undefined ? [] : [this.#server.url];
  }

  processes(): ReadonlyMap<string, number> {
    return new Map(this.#server === undefined ? [] : [['server', this.#server.pid]]);
  }

  delivers(): boolean {
    return true;
  }

  prepare(): Promise<void> {
    return this.#start(ALL_CORES);
  }

  restart(): Promise<void> {
    return this.#start(SERVER_CORE);
  }

  pinGenerator(): void {
    pinGenerator('own core');
  }

  async appends(): Promise<undefined> {
    return undefined;
  }

  async close(): Promise<void> {
    await this.#server?.stop();
  }

  async #start(cores: string): Promise<void> {
    await this.#server?.stop();
    if (this.#port === 0) this.#port = await freePort();
    this.#server = await ServerProcess.start({
      entry: this.#entry,
      dataDir: this.dataDir,
      port: this.#port,
      output: this.#output,
      ...(pinGenerator('own core') ? { cores } : {}),
    });
  }
}

/** CPU time and memory of each process. */
export async function statsOf(processes: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, ProcessStats>> {
  return new Map(
    await Promise.all([...processes].map(async ([name, pid]) => [name, await processStats(pid)] as const)),
  );
}

/** What was used between two looks; memory as of the second. A process that is new began at nothing. */
export function usedBetween(
  before: ReadonlyMap<string, ProcessStats>,
  after: ReadonlyMap<string, ProcessStats>,
): ReadonlyMap<string, ProcessStats> {
  return new Map(
    [...after].map(([name, { cpuSeconds, rssBytes }]) => [
      name,
      { cpuSeconds: cpuSeconds - (before.get(name)?.cpuSeconds ?? 0), rssBytes },
    ]),
  );
}

export function total(
  processes: ReadonlyMap<string, ProcessStats>,
  of: (name: string) => boolean = () => true,
): ProcessStats {
  let [cpuSeconds, rssBytes] = [0, 0];
  for (const [name, stats] of processes) {
    if (!of(name)) continue;
    cpuSeconds += stats.cpuSeconds;
    rssBytes += stats.rssBytes;
  }
  return { cpuSeconds, rssBytes };
}

/** `chat-1` is of `chat`. */
export function serviceOf(process: string): string {
  return process.replace(/-\d+$/, '');
}

/** Summed by service and engine, in the order in which they are listed. */
export function byService(processes: ReadonlyMap<string, ProcessStats>): ReadonlyMap<string, ProcessStats> {
  const services = new Set([...processes.keys()].map(serviceOf));
  return new Map([...services].map((service) => [service, total(processes, (name) => serviceOf(name) === service)]));
}
