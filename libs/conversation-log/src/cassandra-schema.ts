import { auth, Client, policies } from 'cassandra-driver';
import type { types } from 'cassandra-driver';

import { CONSISTENCY, type CassandraConnection, SERIAL_CONSISTENCY } from './cassandra-config.js';
import { numberIn } from './cassandra-rows.js';

/** Of a statement; an append whose answer does not come asks what became of it, within SERIAL_TIMEOUT_MS more. */
const STATEMENT_TIMEOUT_MS = 1_500;
/** Schema changes wait for agreement of all nodes. */
const MIGRATION_TIMEOUT_MS = 30_000;
const SOCKET_TIMEOUT_MS = 2_000;
const RECONNECT_AFTER_MS = 500;
/** An idle connection is tried this often, so that a node that went silent is noticed. */
const HEARTBEAT_MS = 2_000;
/** A connection with this many requests that ran into their deadline is given up. */
const TIMED_OUT_MAX = 8;
const ATTEMPT_AFTER_MS = 500;
const CONNECT_TIMEOUT_MS = 30_000;
const CLIENT_ID_TTL_DAYS = 7;
export const TTL_SECONDS = CLIENT_ID_TTL_DAYS * 24 * 60 * 60;

/**
 * Each step brings a keyspace from version = its index to the next; a step that was released is never changed.
 *
 * - `log_entries`: the logs; static `head_…` columns are the head as of the partition's last append. Leveled compaction,
 *   because a partition's rows come over months, and because it leaves what was overwritten (deleted texts) for a
 *   shorter time in files.
 * - `conversations`: which partition is the newest, and the sealed position, both written only forward: the value is
 *   the write's timestamp, so no clock decides which of two writes wins.
 * - `refs`: entry `seq` refers to entry `ref_seq` of `bucket`, as a change (`c`) or as a reply (`r`); and `pins`.
 * - `client_ids`: a shard is a partition, see CLIENT_ID_SHARDS.
 * - `writers`, `journal`: see cassandra-journal.ts. Their tombstones go soon, for a row that came back does no harm.
 */
const MIGRATIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE IF NOT EXISTS log_entries (
       conversation_id text, bucket int,
       head_seq bigint static, head_ordinal bigint static, head_member_seq bigint static,
       head_message_seq bigint static, head_at_ms bigint static,
       seq bigint, kind text, sender_id text, client_id text, target_seq bigint, parent_seq bigint,
       ordinal bigint, member_seq bigint, at_ms bigint, deleted_at text, mentions frozen<list<text>>,
       json text, append_id uuid,
       PRIMARY KEY ((conversation_id, bucket), seq)
     ) WITH compaction = {'class': 'LeveledCompactionStrategy'}`,
    `CREATE TABLE IF NOT EXISTS conversations (
       conversation_id text PRIMARY KEY, newest_bucket int, sealed_seq bigint)`,
    `CREATE TABLE IF NOT EXISTS refs (
       conversation_id text, kind text, bucket int, ref_seq bigint, seq bigint,
       PRIMARY KEY ((conversation_id, kind, bucket), ref_seq, seq))`,
    `CREATE TABLE IF NOT EXISTS pins (
       conversation_id text, seq bigint, PRIMARY KEY (conversation_id, seq)
     ) WITH CLUSTERING ORDER BY (seq DESC)`,
    `CREATE TABLE IF NOT EXISTS client_ids (
       conversation_id text, shard int, sender_id text, client_id text, seq bigint,
       PRIMARY KEY ((conversation_id, shard), sender_id, client_id)
     ) WITH default_time_to_live = ${TTL_SECONDS} AND gc_grace_seconds = 86400`,
    `CREATE TABLE IF NOT EXISTS writers (
       shard int, writer text, open_from_minute int, latest_minute int, PRIMARY KEY (shard, writer)
     ) WITH default_time_to_live = ${TTL_SECONDS} AND gc_grace_seconds = 3600`,
    `CREATE TABLE IF NOT EXISTS journal (
       writer text, minute int, conversation_id text, PRIMARY KEY ((writer, minute), conversation_id)
     ) WITH default_time_to_live = ${TTL_SECONDS} AND gc_grace_seconds = 3600`,
  ],
];

/** Where a new keyspace keeps its copies. */
export interface CassandraReplication {
  readonly factor: number;
  /** The data centre that has them: NetworkTopologyStrategy. Without it SimpleStrategy, for trying things out. */
  readonly datacenter?: string;
}

export type CassandraMigrationConfig = CassandraConnection & { readonly replication: CassandraReplication };

/** Makes the keyspace and brings its tables up to date. Idempotent; of several at once the caller lets one in. */
export async function migrateConversationLog(config: CassandraMigrationConfig): Promise<void> {
  const client = await connect(config, undefined, MIGRATION_TIMEOUT_MS);
  try {
    const { keyspace, replication } = config;
    const copies =
      replication.datacenter === undefined
        ? `{'class': 'SimpleStrategy', 'replication_factor': ${Number(replication.factor)}}`
        : `{'class': 'NetworkTopologyStrategy', '${quoted(replication.datacenter)}': ${Number(replication.factor)}}`;
    await client.execute(`CREATE KEYSPACE IF NOT EXISTS ${named(keyspace)} WITH replication = ${copies}`);
    await client.execute(`USE ${named(keyspace)}`);
    await client.execute('CREATE TABLE IF NOT EXISTS schema_version (id int PRIMARY KEY, version int)');
    const version = await versionOf(client, keyspace);
    if (version > MIGRATIONS.length) throw new Error(`${keyspace} has schema ${version}, newer than this program's`);
    for (const [index, step] of MIGRATIONS.entries()) {
      if (index < version) continue;
      for (const statement of step) await client.execute(statement);
      await client.execute('INSERT INTO schema_version (id, version) VALUES (0, ?)', [index + 1], { prepare: true });
    }
  } finally {
    await client.shutdown();
  }
}

/** Connects, for as long as `connectTimeoutMs` says, to a keyspace that was migrated. */
export async function openKeyspace(config: CassandraConnection): Promise<Client> {
  const client = await connect(config, undefined, STATEMENT_TIMEOUT_MS);
  try {
    const tables = await client.execute(
      `SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'schema_version'`,
      [config.keyspace],
      { prepare: true },
    );
    const version = tables.rows.length === 0 ? 0 : await versionOf(client, config.keyspace);
    if (version < MIGRATIONS.length) {
      throw new Error(
        `The Cassandra keyspace ${config.keyspace} has schema ${version} and ${MIGRATIONS.length} is needed: run the migration`,
      );
    }
    await client.execute(`USE ${named(config.keyspace)}`);
    return client;
  } catch (error) {
    await client.shutdown();
    throw error;
  }
}

async function versionOf(client: Client, keyspace: string): Promise<number> {
  const { rows } = await client.execute(`SELECT version FROM ${named(keyspace)}.schema_version WHERE id = 0`);
  const row: types.Row | undefined = rows[0];
  return row === undefined ? 0 : (numberIn(row, 'version') ?? 0);
}

async function connect(
  config: CassandraConnection,
  keyspace: string | undefined,
  readTimeout: number,
): Promise<Client> {
  const deadline = performance.now() + (config.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
  for (;;) {
    const client = newClient(config, keyspace, readTimeout);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.shutdown();
      if (performance.now() + ATTEMPT_AFTER_MS > deadline) {
        const where = config.contactPoints.join(', ');
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`Cassandra at ${where} cannot be reached: ${why}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_AFTER_MS));
    }
  }
}

function newClient(config: CassandraConnection, keyspace: string | undefined, readTimeout: number): Client {
  const { credentials, tls } = config;
  return new Client({
    contactPoints: [...config.contactPoints],
    localDataCenter: config.datacenter,
    ...(keyspace === undefined ? {} : { keyspace }),
    ...(credentials === undefined
      ? {}
      : { authProvider: new auth.PlainTextAuthProvider(credentials.username, credentials.password) }),
    ...(tls === undefined ? {} : { sslOptions: tls }),
    policies: { reconnection: new policies.reconnection.ConstantReconnectionPolicy(RECONNECT_AFTER_MS) },
    pooling: { heartBeatInterval: HEARTBEAT_MS },
    socketOptions: {
      connectTimeout: SOCKET_TIMEOUT_MS,
      readTimeout,
      defunctReadTimeoutThreshold: TIMED_OUT_MAX,
    },
    queryOptions: { consistency: CONSISTENCY, serialConsistency: SERIAL_CONSISTENCY },
  });
}

/** A keyspace's name goes into statements as it is. */
function named(keyspace: string): string {
  if (!/^[a-z][a-z0-9_]{0,47}$/.test(keyspace)) {
    throw new Error(`keyspace: "${keyspace}" is none; letters, digits and _ in lower case, at most 48`);
  }
  return keyspace;
}

function quoted(text: string): string {
  return text.replaceAll("'", "''");
}
