/** The engines of a stack, and what each of them has to say about itself. */
export const ENGINES = ['kafka', 'cassandra', 'redis', 'mysql', 'etcd'] as const;
export type EngineName = (typeof ENGINES)[number];

export type NodeCount = 1 | 3;
export type RedisMode = 'single' | 'cluster';
/** When Cassandra's commit log reaches the disk; docs/development-stack.md has what each costs and loses. */
export type CommitLogSync = 'periodic' | 'group' | 'batch';

/** Chosen when a stack is made, and kept with its data. */
export interface StackSettings {
  readonly nodes: NodeCount;
  readonly redis: RedisMode;
  readonly commitlog: CommitLogSync;
  /** The first client port of each engine; `nodesOf` derives the others. */
  readonly ports: Readonly<Record<EngineName, number>>;
  readonly mysqlPassword: string;
}

/** One process of an engine. */
export interface EngineNode {
  readonly engine: EngineName;
  /** From 1. */
  readonly node: number;
  /** `kafka-1`: its folder, its log and its line in every report. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** For the other nodes; engines that never have any do not listen on it. */
  readonly peerPort: number;
  readonly folder: string;
  readonly logFile: string;
}

export interface Installed {
  readonly version: string;
  /** Where its programs or jars are. */
  readonly from: string;
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
}

export interface Engine {
  readonly startWithinMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopWithinMs: number;
  /** Debian packages that are not there and without which it can neither be installed nor started. */
  missingPackages(cacheFolder: string): Promise<readonly string[]>;
  /** Fetches what is not a package; whatever is there already is left alone. */
  install(cacheFolder: string, signal?: AbortSignal): Promise<Installed>;
  /** Writes a node's configuration, makes its empty store if there is none, and says how to start it. */
  prepare(
    node: EngineNode,
    stack: {
      readonly settings: StackSettings;
      readonly all: readonly EngineNode[];
      readonly cacheFolder: string;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<Launch>;
  /** Resolves if the node answers as one that works with `running` nodes; otherwise rejects with why not. */
  probe(node: EngineNode, running: number, settings: StackSettings): Promise<void>;
  /** What is done once after all nodes answer alone, and does nothing when it was done before. */
  form?(nodes: readonly EngineNode[], settings: StackSettings): Promise<void>;
}
