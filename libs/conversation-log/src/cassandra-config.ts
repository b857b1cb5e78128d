import { types } from 'cassandra-driver';
import type { ConnectionOptions } from 'node:tls';

/** Acknowledged appends are on a majority of the local copies, and reads ask a majority: they meet. */
export const CONSISTENCY = types.consistencies.localQuorum;
export const SERIAL_CONSISTENCY = types.consistencies.localSerial;

/** How to reach a keyspace. */
export interface CassandraConnection {
  /** `host:port` of some nodes; the others are found through them. */
  readonly contactPoints: readonly string[];
  /** The nodes' data centre that is asked; the others only get copies. */
  readonly datacenter: string;
  readonly keyspace: string;
  readonly credentials?: { readonly username: string; readonly password: string };
  /** Given, connections are encrypted: `{}` trusts the usual authorities, `{ca}` these. */
  readonly tls?: ConnectionOptions;
  /** How long opening goes on trying; 30 s if not given. */
  readonly connectTimeoutMs?: number;
}

export interface CassandraConversationLogConfig extends CassandraConnection {
  /** Entries of a partition; never changed once there are entries. */
  readonly bucketEntries?: number;
  /** Appends in flight; more wait. */
  readonly appendsInFlightMax?: number;
  /** Appends that may wait; beyond, they are refused with `overloaded`. */
  readonly appendQueueMax?: number;
  /** Milliseconds since the epoch; decides the journal's minutes. */
  readonly nowMs?: () => number;
}
