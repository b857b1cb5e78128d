import { type Topic, TOPICS } from '@parley/contracts';
import kafkajs, { type Admin } from 'kafkajs';

import { messageOf } from './deadline.js';
import { withAdmin } from './kafka-client.js';
import {
  CONNECT_TIMEOUT_MS,
  deadTopicName,
  type KafkaConnection,
  type KafkaTopicsConfig,
  SILENT,
  topicName,
} from './kafka-config.js';
import { pauseByTimer } from './pause.js';

// Node finds only some of the package's names by itself.
const { ConfigResourceTypes, ConfigSource } = kafkajs;

/** As many consumers of a group can share the work; `directory` and `presence` are small. */
const PARTITIONS: Readonly<Record<Topic, number>> = { messages: 12, inbox: 12, directory: 6, presence: 6 };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/**
 * For how long a consumer may be away. The log is the truth of messages, so nothing needs to stay for good. What was
 * replayed of the dead letters is an offset that the brokers keep for 7 days (offsets.retention.minutes): letters must
 * be gone before it is, or they would be replayed again.
 */
const RETENTION_MS: Readonly<Record<Topic | 'deadLetters', number>> = {
  messages: 3 * DAY_MS,
  inbox: DAY_MS,
  directory: 3 * DAY_MS,
  presence: HOUR_MS,
  deadLetters: 6 * DAY_MS,
};
/** The publisher's records are at most about 750 KB and its batches 1 MB; the largest `conversation.created` 700 KB. */
export const RECORD_MAX_BYTES = 2_000_000;
const ADMIN_TIMEOUT_MS = 20_000;
const RAISE_ATTEMPTS = 5;

interface WantedTopic {
  readonly topic: string;
  readonly partitions: number;
  readonly config: Readonly<Record<string, string>>;
}

/**
 * Creates the topics, raises partition counts (never lowers them) and sets their configuration, keeping what an
 * operator set beside it. Idempotent; several may run it at once.
 */
export async function migrateKafkaTopics(config: KafkaTopicsConfig): Promise<void> {
  const wanted = wantedTopics(config);
  await whenReachable(config, (timeoutMs) =>
    withAdmin(config, timeoutMs, async (admin) => {
      const existing = new Set(await admin.listTopics());
      for (const { topic, partitions, config: settings } of wanted) {
        if (existing.has(topic)) continue;
        // Says `false` where another instance was quicker.
        await admin.createTopics({
          topics: [
            {
              topic,
              numPartitions: partitions,
              replicationFactor: config.replicationFactor ?? 1,
              configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
            },
          ],
        });
      }
      for (const topic of wanted) await raisePartitions(admin, topic);
      await setConfigs(admin, wanted);
    }),
  );
}

/** Waits for the brokers, and throws where a topic is missing. */
export async function checkKafkaTopics(connection: KafkaConnection): Promise<void> {
  const existing = await whenReachable(connection, (timeoutMs) =>
    withAdmin(connection, timeoutMs, (admin) => admin.listTopics()),
  );
  const missing = TOPICS.flatMap((topic) => [topicName(connection, topic), deadTopicName(connection, topic)]).filter(
    (name) => !existing.includes(name),
  );
  if (missing.length > 0) {
    throw new Error(
      `Kafka at ${connection.brokers.join(',')} has no topic ${missing.join(', ')}: run the migration of the event bus`,
    );
  }
}

/** Tries again with backoff until the brokers answer, or the time to wait for them is over. */
async function whenReachable<T>(connection: KafkaConnection, ask: (timeoutMs: number) => Promise<T>): Promise<T> {
  const { log = SILENT } = connection;
  const deadline = performance.now() + (connection.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
  for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, 2_000)) {
    const leftMs = deadline - performance.now();
    try {
      return await ask(Math.max(1, Math.min(leftMs, ADMIN_TIMEOUT_MS)));
    } catch (error) {
      const where = `Kafka at ${connection.brokers.join(',')}`;
      if (deadline - performance.now() < pauseMs) {
        throw new Error(`${where} cannot be used: ${messageOf(error)}`, { cause: error });
      }
      log.warn({ err: error }, `${where} cannot be reached yet`);
      await pauseByTimer(pauseMs, new AbortController().signal);
    }
  }
}

function wantedTopics(config: KafkaTopicsConfig): readonly WantedTopic[] {
  const retention = { ...RETENTION_MS, ...config.retentionMs };
  const settings = (retentionMs: number): Record<string, string> => ({
    'cleanup.policy': 'delete',
    'retention.ms': String(retentionMs),
    // Nothing goes before its segment is closed.
    'segment.ms': String(Math.max(60_000, Math.min(DAY_MS / 2, Math.floor(retentionMs / 4)))),
    'max.message.bytes': String(RECORD_MAX_BYTES),
    'min.insync.replicas': (config.replicationFactor ?? 1) >= 3 ? '2' : '1',
  });
  return TOPICS.flatMap((topic) => [
    {
      topic: topicName(config, topic),
      partitions: config.partitions?.[topic] ?? PARTITIONS[topic],
      config: settings(retention[topic]),
    },
    // One partition: few, read by a person, in the order in which they died.
    { topic: deadTopicName(config, topic), partitions: 1, config: settings(retention.deadLetters) },
  ]);
}

async function raisePartitions(admin: Admin, { topic, partitions }: WantedTopic): Promise<void> {
  for (let made = 1; (await partitionCount(admin, topic)) < partitions; made += 1) {
    try {
      await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] });
    } catch (error) {
      // Another instance may be raising it too, which refuses ours.
      if (made >= RAISE_ATTEMPTS) throw error;
    }
  }
}

async function partitionCount(admin: Admin, topic: string): Promise<number> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  return topics[0]?.partitions.length ?? 0;
}

/** kafkajs knows only the request that replaces all settings of a topic: what others set has to be said again. */
async function setConfigs(admin: Admin, wanted: readonly WantedTopic[]): Promise<void> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: wanted.map(({ topic }) => ({ type: ConfigResourceTypes.TOPIC, name: topic })),
  });
  const changes = wanted.flatMap(({ topic, config }) => {
    const entries = resources.find(({ resourceName }) => resourceName === topic)?.configEntries ?? [];
    const set = new Map(
      entries
        .filter(({ configSource }) => configSource === ConfigSource.TOPIC_CONFIG)
        .map(({ configName, configValue }) => [configName, configValue]),
    );
    if (Object.entries(config).every(([name, value]) => set.get(name) === value)) return [];
    for (const [name, value] of Object.entries(config)) set.set(name, value);
    const configEntries = [...set].map(([name, value]) => ({ name, value }));
    return [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }];
  });
  if (changes.length > 0) await admin.alterConfigs({ validateOnly: false, resources: changes });
}
