import type { ConnectionOptions } from 'node:tls';

import type { Topic } from '@parley/contracts';

import type { DeadLetter } from './event-bus.js';
import type { Pause } from './handle-in-order.js';

/** Takes what a pino logger takes. */
export type KafkaLog = Readonly<Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>>;

/** Where the brokers are and how to be let in. */
export interface KafkaConnection {
  /** `host:port`, some of the cluster's; the others are learned from them. */
  readonly brokers: readonly string[];
  /** Names this process in the brokers' logs and quotas. */
  readonly clientId: string;
  readonly tls?: true | ConnectionOptions;
  readonly credentials?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    readonly username: string;
    readonly password: string;
  };
  /** Before the name of every topic and group, so that several installations can share a cluster. Default none. */
  readonly prefix?: string;
  /** How long a start waits for brokers that are away. Default 30 s. */
  readonly connectTimeoutMs?: number;
  readonly log?: KafkaLog;
}

export interface KafkaTopicsConfig extends KafkaConnection {
  /** A key's order holds while the count stays: raise it while nothing is published. Never lowered. */
  readonly partitions?: Partial<Readonly<Record<Topic, number>>>;
  /** Default 1. From 3 on, a record is safe once two brokers have it. */
  readonly replicationFactor?: number;
  readonly retentionMs?: Partial<Readonly<Record<Topic | 'deadLetters', number>>>;
}

export interface KafkaEventBusConfig extends KafkaConnection {
  /** Records waiting to be sent; beyond, publishing is refused as `overloaded`. Default 100,000. */
  readonly queueMaxRecords?: number;
  /** The same in bytes. Default 64 MiB. */
  readonly queueMaxBytes?: number;
  /** From when on a broker that does not answer counts as away. Default 2 s. */
  readonly publishTimeoutMs?: number;
  /** Attempts at a batch before its records are tried one by one and become dead letters. Default 5. */
  readonly attempts?: number;
  /** How often lag is measured. Default 5 s. */
  readonly measureEveryMs?: number;
  /** A consumer that has lag, and partitions, and handled nothing for this long is started again. Default 30 s. */
  readonly stalledAfterMs?: number;
  /** For logs and metrics; must not throw. */
  readonly onDeadLetter?: (letter: DeadLetter) => void;
  readonly onConsumerRestart?: (restart: ConsumerRestart) => void;
  /** A consumer failed five times in a row for another reason than brokers that are away: the process should end. */
  readonly onFatal?: (error: Error) => void;
  readonly nowMs?: () => number;
  readonly pause?: Pause;
}

export interface ConsumerRestart {
  readonly topic: Topic;
  readonly group: string;
  readonly reason: 'crashed' | 'stalled';
  readonly error: string;
}

export const CONNECT_TIMEOUT_MS = 30_000;

export const SILENT: KafkaLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export function topicName({ prefix = '' }: KafkaConnection, topic: Topic): string {
  return `${prefix}${topic}`;
}

export function deadTopicName(connection: KafkaConnection, topic: Topic): string {
  return `${topicName(connection, topic)}.dead`;
}

/** Members of one Kafka group must all want the same topics, and ours subscribe to one each: the topic is in its name. */
export function groupName({ prefix = '' }: KafkaConnection, topic: Topic, group: string): string {
  return `${prefix}${group}.${topic}`;
}
