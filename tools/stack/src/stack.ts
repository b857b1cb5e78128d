import { rm, rmdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { ENGINES, type EngineName, type EngineNode, type StackSettings } from './engine.js';
import { engineOf } from './engines.js';
import { type Environment, environmentOf, renderEnvironment } from './environment.js';
import { exclusive } from './exclusive.js';
import {
  endOfLog,
  killNode,
  launch,
  type NodeState,
  nodeRecord,
  nodeState,
  pauseNode,
  resumeNode,
  stopNode,
} from './launch.js';
import { nodesOf } from './nodes.js';
import { installPackages } from './packages.js';
import { residentBytes } from './process-record.js';
import { openSettings, readSettings, SETTINGS_FILE, type WantedSettings } from './settings.js';

const POLL_MS = 100;
const ENVIRONMENT_FILE = 'stack.env';

export interface StackOptions extends WantedSettings {
  /** Everything of this stack: data, logs, what runs, where it listens. Its neighbours are taken for stacks as well. */
  readonly folder: string;
  /** Jars, for all stacks. */
  readonly cacheFolder: string;
  /** What `start` starts and `environment` names; all by default. */
  readonly engines?: readonly EngineName[] | undefined;
  readonly onProgress?: (progress: StackProgress) => void;
}

export type StackProgress =
  | { readonly kind: 'packages'; readonly packages: readonly string[] }
  | {
      readonly kind: 'installed';
      readonly engine: EngineName;
      readonly version: string;
      readonly from: string;
      readonly tookMs: number;
    }
  | { readonly kind: 'launched'; readonly node: EngineNode; readonly pid: number }
  | {
      readonly kind: 'ready';
      readonly engine: EngineName;
      readonly nodes: readonly EngineNode[];
      /** Of those that this start has launched. */
      readonly launched: number;
      readonly tookMs: number;
    };

export interface NodeStatus {
  readonly node: EngineNode;
  readonly state: NodeState;
  readonly pid: number | undefined;
  readonly residentBytes: number;
  /** Why a running node does not answer. */
  readonly problem: string | undefined;
}

/** The stack in the folder, made with what is wanted if there is none; nothing is started. */
export async function openStack(options: StackOptions): Promise<Stack> {
  const folder = resolve(options.folder);
  return new Stack(folder, await openSettings(folder, options), options);
}

/** Like `openStack`, but undefined if there is none. */
export async function findStack(options: Omit<StackOptions, keyof WantedSettings>): Promise<Stack | undefined> {
  const folder = resolve(options.folder);
  const settings = await readSettings(folder);
  return settings && new Stack(folder, settings, options);
}

/**
 * Engines as processes of this machine, on loopback. What runs is on record in the stack's folder, so that several
 * objects and processes may use the same stack. Where a node is not given, an operation is for all nodes of the engine.
 */
export class Stack {
  readonly folder: string;
  readonly settings: StackSettings;
  readonly #cacheFolder: string;
  readonly #engines: readonly EngineName[];
  readonly #onProgress: (progress: StackProgress) => void;

  constructor(folder: string, settings: StackSettings, options: Omit<StackOptions, keyof WantedSettings>) {
    this.folder = folder;
    this.settings = settings;
    this.#cacheFolder = resolve(options.cacheFolder);
    this.#engines = options.engines ?? ENGINES;
    this.#onProgress = options.onProgress ?? (() => undefined);
  }

  nodes(engine: EngineName): readonly EngineNode[] {
    return nodesOf(engine, this.settings, this.folder);
  }

  environment(): Environment {
    return environmentOf(this.settings, this.#engines);
  }

  /** Those that were started and not stopped since, whatever became of them. */
  started(): readonly EngineName[] {
    return ENGINES.filter((engine) => this.nodes(engine).some((node) => nodeRecord(node) !== undefined));
  }

  get environmentFile(): string {
    return join(this.folder, ENVIRONMENT_FILE);
  }

  /**
   * Installs what is missing, starts what is not running, resumes what is paused, and resolves when all of it answers.
   * The first failure ends the waiting for the others as well; what was launched until then stays, for `stop`.
   */
  async start({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const stop = new AbortController();
    const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    await this.#installPackages(either);
    const starts = this.#engines.map((engine) =>
      this.#startEngine(engine, either).catch((error: unknown) => {
        stop.abort(error);
        throw error;
      }),
    );
    await Promise.allSettled(starts);
    if (this.started().length > 0) await this.#writeEnvironment();
    signal?.throwIfAborted();
    stop.signal.throwIfAborted();
  }

  /** Stops all engines, those too that this object does not start; data and logs stay. */
  async stop(): Promise<void> {
    await Promise.all(ENGINES.map((engine) => this.#stopNodes(engine, this.nodes(engine))));
    await rm(this.environmentFile, { force: true });
  }

  /** Stops all engines and removes everything that the stack has written. */
  async wipe(): Promise<void> {
    await this.stop();
    const folders = ENGINES.flatMap((engine) => this.nodes(engine).map((node) => node.folder));
    for (const path of [...folders, join(this.folder, 'logs'), join(this.folder, SETTINGS_FILE)]) {
      await rm(path, { recursive: true, force: true });
    }
    await rmdir(this.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY') throw error; // what somebody else has put there is theirs
    });
  }

  /** SIGKILL. Resolves when the processes are gone. */
  async kill(engine: EngineName, node?: number): Promise<void> {
    await Promise.all(this.#living(engine, node).map(killNode));
  }

  /** SIGSTOP: connections stay open and silent. */
  async pause(engine: EngineName, node?: number): Promise<void> {
    await Promise.all(this.#living(engine, node).map(pauseNode));
  }

  /** SIGCONT. Resolves when all running nodes of the engine answer. */
  async resume(engine: EngineName, node?: number): Promise<void> {
    await Promise.all(this.#living(engine, node).map(resumeNode));
    await this.untilAnswering(engine);
  }

  /** Stops the nodes, unless they are dead, and starts them. Resolves when all running nodes of the engine answer. */
  async restart(engine: EngineName, node?: number): Promise<void> {
    const selected = this.#selected(engine, node);
    await this.#stopNodes(engine, selected);
    await Promise.all(selected.map((each) => this.#launchNode(each)));
    await this.untilAnswering(engine);
  }

  /** Resolves when every running node works with all other running ones; how many that are may change meanwhile. */
  async untilAnswering(engine: EngineName, signal?: AbortSignal): Promise<void> {
    const withinMs = engineOf(engine).startWithinMs;
    const deadlineMs = performance.now() + withinMs;
    const watched = this.nodes(engine).filter((node) => nodeState(node) === 'running');
    for (const node of watched) {
      for (;;) {
        signal?.throwIfAborted();
        const problem = await this.#problemOf(node);
        const state = nodeState(node);
        // Paused or stopped meanwhile, by a fault run or another command: not waited for.
        if (problem === undefined || state === 'paused' || state === 'down') break;
        if (state === 'dead') throw new Error(`${node.name} ended by itself. ${endOfLog(node)}`);
        if (performance.now() > deadlineMs) {
          throw new Error(`${node.name} did not answer within ${withinMs} ms: ${problem}. Its log: ${node.logFile}`);
        }
        await sleep(POLL_MS, undefined, { signal });
      }
    }
  }

  async status(): Promise<readonly NodeStatus[]> {
    const nodes = ENGINES.flatMap((engine) => this.nodes(engine));
    return Promise.all(
      nodes.map(async (node) => {
        const record = nodeRecord(node);
        const state = nodeState(node);
        return {
          node,
          state,
          pid: state === 'running' || state === 'paused' ? record?.pid : undefined,
          residentBytes: record === undefined ? 0 : residentBytes(record),
          problem: state === 'running' ? await this.#problemOf(node) : undefined,
        };
      }),
    );
  }

  async #installPackages(signal: AbortSignal): Promise<void> {
    const missing = await Promise.all(this.#engines.map((name) => engineOf(name).missingPackages(this.#cacheFolder)));
    const packages = [...new Set(missing.flat())];
    if (packages.length > 0) this.#onProgress({ kind: 'packages', packages });
    await installPackages(packages, signal);
  }

  async #startEngine(name: EngineName, signal: AbortSignal): Promise<void> {
    const engine = engineOf(name);
    const nodes = this.nodes(name);
    const beganMs = performance.now();
    const installed = await engine.install(this.#cacheFolder, signal);
    const startedMs = performance.now();
    this.#onProgress({ kind: 'installed', engine: name, ...installed, tookMs: startedMs - beganMs });
    const launched = await Promise.all(nodes.map((node) => this.#launchNode(node, signal)));
    await Promise.all(nodes.filter((node) => nodeState(node) === 'paused').map(resumeNode));
    await this.untilAnswering(name, signal);
    if (engine.form !== undefined) {
      await engine.form(nodes, this.settings);
      await this.untilAnswering(name, signal);
    }
    this.#onProgress({
      kind: 'ready',
      engine: name,
      nodes,
      launched: launched.filter(Boolean).length,
      tookMs: performance.now() - startedMs,
    });
  }

  /** Whether it was necessary. */
  #launchNode(node: EngineNode, signal?: AbortSignal): Promise<boolean> {
    return exclusive(node.folder, async () => {
      const state = nodeState(node);
      if (state === 'running' || state === 'paused') return false;
      const stack = { settings: this.settings, all: this.nodes(node.engine), cacheFolder: this.#cacheFolder, signal };
      const how = await engineOf(node.engine).prepare(node, stack);
      signal?.throwIfAborted();
      const { pid } = launch(node, how);
      this.#onProgress({ kind: 'launched', node, pid });
      return true;
    });
  }

  async #stopNodes(engine: EngineName, nodes: readonly EngineNode[]): Promise<void> {
    const { stopWithinMs } = engineOf(engine);
    await Promise.all(nodes.map((node) => exclusive(node.folder, () => stopNode(node, stopWithinMs))));
  }

  #problemOf(node: EngineNode): Promise<string | undefined> {
    const running = this.nodes(node.engine).filter((each) => nodeState(each) === 'running').length;
    return engineOf(node.engine)
      .probe(node, running, this.settings)
      .then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
  }

  #selected(engine: EngineName, node: number | undefined): readonly EngineNode[] {
    const nodes = this.nodes(engine);
    const selected = nodes.filter((each) => node === undefined || each.node === node);
    if (selected.length === 0) throw new Error(`${engine} has nodes 1 to ${nodes.length}, and no ${node}`);
    return selected;
  }

  /** What a signal can reach: the node that was asked for, or those that have a process. */
  #living(engine: EngineName, node: number | undefined): readonly EngineNode[] {
    const selected = this.#selected(engine, node);
    if (node !== undefined) return selected;
    const living = selected.filter((each) => ['running', 'paused'].includes(nodeState(each)));
    if (living.length === 0) throw new Error(`${engine} is not running`);
    return living;
  }

  async #writeEnvironment(): Promise<void> {
    const text = renderEnvironment(environmentOf(this.settings, this.started()));
    await writeFile(this.environmentFile, text, { mode: 0o600 });
  }
}
