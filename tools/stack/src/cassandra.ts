import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { CONSISTENCIES, queryAt } from './cassandra-probe.js';
import type { CommitLogSync, Engine, EngineNode } from './engine.js';
import { installJars, javaProgram, missingJavaPackages } from './java.js';

const VERSION = '5.0.9';
const HEAP = { 1: '1g', 3: '768m' } as const;
/** Thirds of the ring. With a token of its own and nothing to fetch from others, a node joins at once. */
const TOKENS = ['-9223372036854775808', '-3074457345618258603', '3074457345618258602'];

/** The data centre's name under `SimpleSnitch`. */
export const CASSANDRA_DATACENTER = 'datacenter1';

const libraryOf = (cacheFolder: string): string => join(cacheFolder, `cassandra-${VERSION}`);

/** Apache Cassandra from the jars of its release; its scripts are not among them, so their options are here. */
export const cassandra: Engine = {
  startWithinMs: 240_000,
  stopWithinMs: 30_000,

  missingPackages: (cacheFolder) => missingJavaPackages(libraryOf(cacheFolder)),

  async install(cacheFolder, signal) {
    const from = libraryOf(cacheFolder);
    await installJars(from, [`org.apache.cassandra:cassandra-all:${VERSION}`], { cacheFolder, signal });
    return { version: VERSION, from };
  },

  async prepare(node, { settings, all, cacheFolder }) {
    const jars = join(libraryOf(cacheFolder), 'lib');
    const agent = (await readdir(jars)).find((name) => /^jamm-.*\.jar$/.test(name));
    if (agent === undefined) throw new Error(`there is no jamm jar in ${jars}`);
    const configuration = join(node.folder, 'conf');
    const store = join(node.folder, 'data');
    await mkdir(configuration, { recursive: true });
    await mkdir(store, { recursive: true });
    await writeFile(join(configuration, 'cassandra.yaml'), yamlOf(node, all, settings.commitlog));
    await writeFile(join(configuration, 'logback.xml'), LOGBACK);
    const heap = HEAP[settings.nodes];
    return {
      command: await javaProgram(),
      args: [
        `-javaagent:${join(jars, agent)}`,
        ...[`-Xmx${heap}`, `-Xms${heap}`, '-XX:+UseG1GC', '-XX:-UsePerfData', '-XX:MaxDirectMemorySize=512m'],
        ...MODULE_OPTIONS,
        '-Dio.netty.tryReflectionSetAccessible=true',
        '-Djava.net.preferIPv4Stack=true',
        `-Dcassandra.config=file://${join(configuration, 'cassandra.yaml')}`,
        `-Dlogback.configurationFile=${join(configuration, 'logback.xml')}`,
        `-Dcassandra.storagedir=${store}`,
        // Waits of production, for rings whose other nodes come and go; without them a start takes half a minute less.
        '-Dcassandra.ring_delay_ms=1000',
        '-Dcassandra.skip_wait_for_gossip_to_settle=0',
        '-Dcassandra.consistent.rangemovement=false',
        '-Dcassandra.superuser_setup_delay_ms=0',
        ...['-cp', `${configuration}:${join(jars, '*')}`, 'org.apache.cassandra.service.CassandraDaemon'],
      ],
    };
  },

  /** A read that as many nodes have to answer as there are running: this one works, and sees the others. */
  async probe(node, running) {
    await queryAt(node, CONSISTENCIES[running - 1] ?? CONSISTENCIES[0]);
  },
};

function yamlOf(node: EngineNode, all: readonly EngineNode[], commitlog: CommitLogSync): string {
  const store = join(node.folder, 'data');
  // All are seeds: a seed that finds nobody starts alone, so that the nodes can start in any order, or at once.
  const seeds = all.map((each) => `${each.host}:${each.peerPort}`).join(',');
  return `cluster_name: parley
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
num_tokens: 1
initial_token: ${TOKENS[node.node - 1]}
auto_bootstrap: false
endpoint_snitch: SimpleSnitch
seed_provider: [{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{seeds: "${seeds}"}]}]
listen_address: ${node.host}
rpc_address: ${node.host}
storage_port: ${node.peerPort}
native_transport_port: ${node.port}
start_native_transport: true
data_file_directories: [${join(store, 'data')}]
commitlog_directory: ${join(store, 'commitlog')}
saved_caches_directory: ${join(store, 'saved_caches')}
hints_directory: ${join(store, 'hints')}
cdc_raw_directory: ${join(store, 'cdc')}
${COMMITLOG[commitlog]}
memtable_flush_writers: 1
concurrent_compactors: 1
paxos_variant: v2
paxos_state_purging: repaired
`;
}

/** `periodic` loses acknowledged writes of the last 100 ms when a node is killed; figures in docs/development-stack.md. */
const COMMITLOG: Readonly<Record<CommitLogSync, string>> = {
  periodic: 'commitlog_sync: periodic\ncommitlog_sync_period: 10000ms',
  group: 'commitlog_sync: group\ncommitlog_sync_group_window: 15ms',
  batch: 'commitlog_sync: batch',
};

const LOGBACK = `<configuration>
<appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%date{ISO8601} %-5level [%thread] %F:%L - %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
`;

/** What Cassandra reaches into on Java 17, as its own jvm17-server.options has it. */
const MODULE_OPTIONS: readonly string[] = [
  '-Djdk.attach.allowAttachSelf=true',
  ...[
    'java.base/jdk.internal.misc',
    'java.base/jdk.internal.ref',
    'java.base/sun.nio.ch',
    'java.management.rmi/com.sun.jmx.remote.internal.rmi',
    'java.rmi/sun.rmi.registry',
    'java.rmi/sun.rmi.server',
    'java.sql/java.sql',
    'java.base/java.lang.ref',
    'jdk.unsupported/sun.misc',
  ].map((name) => `--add-exports=${name}=ALL-UNNAMED`),
  ...[
    'java.base/java.lang.module',
    'java.base/jdk.internal.loader',
    'java.base/jdk.internal.ref',
    'java.base/jdk.internal.reflect',
    'java.base/jdk.internal.math',
    'java.base/jdk.internal.module',
    'java.base/jdk.internal.util.jar',
    'jdk.management/com.sun.management.internal',
    'java.base/sun.nio.ch',
    'java.base/java.io',
    'java.base/java.nio',
    'java.base/java.lang',
    'java.base/java.lang.reflect',
    'java.base/java.util',
    'java.base/java.util.concurrent',
    'java.base/java.util.concurrent.atomic',
    'java.compiler/javax.tools',
    'jdk.compiler/com.sun.tools.javac',
  ].map((name) => `--add-opens=${name}=ALL-UNNAMED`),
];
