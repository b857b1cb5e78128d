import { Client, type types } from 'cassandra-driver';
import { randomUUID } from 'node:crypto';
import type { Server } from 'node:net';

import type { CassandraConversationLogConfig } from './cassandra-config.js';
import { numberIn } from './cassandra-rows.js';
import { migrateConversationLog, openKeyspace } from './cassandra-schema.js';
import type { Cql } from './cassandra-statements.js';

/** The Cassandra that the specs may use, and a keyspace of their own on it. */
export interface Keyspace {
  readonly config: CassandraConversationLogConfig;
  /** Forgets who wrote what and when, so that earlier tests have left nothing to recover. */
  emptyJournal(): Promise<void>;
  /** Rows of a table. */
  count(table: string): Promise<number>;
  drop(): Promise<void>;
}

export function contactPoints(): readonly string[] {
  const points = process.env['PARLEY_CASSANDRA_CONTACT_POINTS'];
  if (points === undefined) throw new Error('PARLEY_CASSANDRA_CONTACT_POINTS is not set: no Cassandra to test with');
  return points.split(',');
}

export async function makeKeyspace(): Promise<Keyspace> {
  const keyspace = `test_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  const datacenter = process.env['PARLEY_CASSANDRA_DATACENTER'] ?? 'datacenter1';
  const config = { contactPoints: contactPoints(), datacenter, keyspace };
  await migrateConversationLog({ ...config, replication: { factor: 1 } });
  const client = new Client({ contactPoints: [...config.contactPoints], localDataCenter: datacenter });
  return {
    config,
    async emptyJournal() {
      await client.execute(`TRUNCATE ${keyspace}.writers`);
      await client.execute(`TRUNCATE ${keyspace}.journal`);
    },
    async count(table) {
      const { rows } = await client.execute(`SELECT count(*) AS n FROM ${keyspace}.${table}`);
      return rows[0] === undefined ? 0 : (numberIn(rows[0], 'n') ?? 0);
    },
    async drop() {
      await client.execute(`DROP KEYSPACE ${keyspace}`);
      await client.shutdown();
    },
  };
}

/** The driver's client, with what a test does before and after conditional batches and before other statements. */
export class Tampered implements Cql {
  beforeBatch: () => Promise<void> = () => Promise.resolve();
  /** An error to answer with, once, after the server did what it was told. */
  afterBatch: (() => Error) | null = null;
  beforeSerialRead: () => Promise<void> = () => Promise.resolve();
  beforeExecute: (query: string) => Promise<void> = () => Promise.resolve();

  private constructor(private readonly client: Client) {}

  static async connect(config: CassandraConversationLogConfig): Promise<Tampered> {
    return new Tampered(await openKeyspace(config));
  }

  async execute(...[query, params, options]: Parameters<Cql['execute']>): Promise<types.ResultSet> {
    await this.beforeExecute(query);
    if (query.includes('append_id')) await once(this, 'beforeSerialRead');
    return this.client.execute(query, params, options);
  }

  async batch(...[queries, options]: Parameters<Cql['batch']>): Promise<types.ResultSet> {
    if (options.isIdempotent) return this.client.batch(queries, options);
    await once(this, 'beforeBatch');
    const result = await this.client.batch(queries, options);
    const error = this.afterBatch?.();
    this.afterBatch = null;
    if (error !== undefined) throw error;
    return result;
  }

  shutdown(): Promise<void> {
    return this.client.shutdown();
  }
}

/** A tampering happens once; what it sets itself, the next time. */
function once(cql: Tampered, step: 'beforeBatch' | 'beforeSerialRead'): Promise<void> {
  const tamper = cql[step];
  cql[step] = () => Promise.resolve();
  return tamper();
}

export function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
