import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ask } from './ask.js';
import type { Engine, EngineNode } from './engine.js';
import { exists } from './files.js';
import { installJars, javaProgram, missingJavaPackages } from './java.js';
import { run } from './run.js';

const VERSION = '4.3.1';
/** Brokers recognize each other's stores by it; any 22 characters of base64url do. */
const CLUSTER_ID = 'cGFybGV5LXN0YWNrLTAwMQ';
const HEAP = { 1: '512m', 3: '384m' } as const;
const METADATA = 3;

const libraryOf = (cacheFolder: string): string => join(cacheFolder, `kafka-${VERSION}`);

/** Apache Kafka in KRaft mode, every node broker and controller in one, from the jars of its release. */
export const kafka: Engine = {
  startWithinMs: 90_000,
  // A broker whose controllers have stopped before it waits for them in vain (docs/development-stack.md).
  stopWithinMs: 10_000,

  missingPackages: (cacheFolder) => missingJavaPackages(libraryOf(cacheFolder)),

  async install(cacheFolder, signal) {
    const from = libraryOf(cacheFolder);
    // The release's jars log through slf4j and bring nothing that prints.
    const artifacts = [`org.apache.kafka:kafka_2.13:${VERSION}`, 'org.slf4j:slf4j-simple:1.7.36'] as const;
    await installJars(from, artifacts, { cacheFolder, signal });
    return { version: VERSION, from };
  },

  async prepare(node, { settings, all, cacheFolder, signal }) {
    const java = await javaProgram();
    const properties = join(node.folder, 'server.properties');
    const classPath = ['-cp', join(libraryOf(cacheFolder), 'lib', '*')];
    await mkdir(node.folder, { recursive: true });
    await writeFile(properties, propertiesOf(node, all));
    if (!(await exists(join(node.folder, 'data', 'meta.properties')))) {
      const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties];
      await run(java, ['-Xmx128m', '-XX:TieredStopAtLevel=1', ...classPath, ...format], { signal });
    }
    const heap = HEAP[settings.nodes];
    const log = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=info', '-Dorg.slf4j.simpleLogger.showDateTime=true'];
    return {
      command: java,
      args: [`-Xmx${heap}`, `-Xms${heap}`, '-XX:+UseG1GC', ...log, ...classPath, 'kafka.Kafka', properties],
    };
  },

  /** Asks for the brokers that are alive: one that is fenced, as after a long pause, is not among them. */
  async probe(node, running) {
    const brokers = await ask(node, metadataRequest(), (received) =>
      received.length < 12 ? undefined : received.readInt32BE(8),
    );
    if (brokers < running) throw new Error(`${node.name} knows of ${brokers} living brokers, not ${running}`);
  },
};

function propertiesOf(node: EngineNode, all: readonly EngineNode[]): string {
  const copies = all.length;
  const inSync = copies === 1 ? 1 : 2;
  return `process.roles=broker,controller
node.id=${node.node}
controller.quorum.voters=${all.map((each) => `${each.node}@${each.host}:${each.peerPort}`).join(',')}
listeners=PLAINTEXT://${node.host}:${node.port},CONTROLLER://${node.host}:${node.peerPort}
advertised.listeners=PLAINTEXT://${node.host}:${node.port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=${join(node.folder, 'data')}
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=${copies}
min.insync.replicas=${inSync}
offsets.topic.replication.factor=${copies}
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=${copies}
transaction.state.log.min.isr=${inSync}
transaction.state.log.num.partitions=8
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
`;
}

/** Metadata, version 1, of no topic: size, key, version, correlation, no client's name, an empty list. */
function metadataRequest(): Buffer {
  const request = Buffer.alloc(18);
  request.writeInt32BE(request.length - 4, 0);
  request.writeInt16BE(METADATA, 4);
  request.writeInt16BE(1, 6);
  request.writeInt32BE(1, 8);
  request.writeInt16BE(-1, 12);
  request.writeInt32BE(0, 14);
  return request;
}
