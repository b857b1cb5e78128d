import net from 'node:net';
import tls from 'node:tls';

import { type Admin, Kafka, logLevel, type RetryOptions, type SASLOptions } from 'kafkajs';

import { within } from './deadline.js';
import { type KafkaConnection, SILENT } from './kafka-config.js';
import { calmKafkaJsTimers } from './kafkajs-timers.js';

const KEEP_ALIVE_MS = 10_000;

export interface KafkaClientOptions {
  readonly requestTimeoutMs: number;
  readonly retry: RetryOptions;
}

/**
 * kafkajs for one producer, consumer or admin, with an end: its own `disconnect` waits for answers that a silent broker
 * never gives, and its retries go on after it. Once destroyed, no socket is left and none is opened.
 */
export class KafkaClient {
  readonly kafka: Kafka;
  readonly #sockets = new Set<net.Socket>();
  #destroyed = false;

  constructor(connection: KafkaConnection, { requestTimeoutMs, retry }: KafkaClientOptions) {
    calmKafkaJsTimers();
    const { brokers, clientId, credentials, log = SILENT } = connection;
    this.kafka = new Kafka({
      brokers: [...brokers],
      clientId,
      ...(connection.tls === undefined ? {} : { ssl: connection.tls }),
      ...(credentials === undefined ? {} : { sasl: saslOf(credentials) }),
      connectionTimeout: 1_000,
      authenticationTimeout: 5_000,
      requestTimeout: requestTimeoutMs,
      enforceRequestTimeout: true,
      retry,
      socketFactory: (args) => this.#open(args),
      logLevel: logLevel.INFO,
      // It calls errors what it then retries: what matters of them is reported by who uses it.
      logCreator:
        () =>
        ({ level, namespace, log: { message, timestamp: _timestamp, logger: _logger, ...fields } }) => {
          // What it says of connections that we have closed is of no interest to anyone.
          const own = this.#destroyed && namespace === 'Connection';
          const say = own || level > logLevel.WARN ? log.debug : level === logLevel.WARN ? log.info : log.warn;
          say.call(log, { kafkajs: namespace, ...fields }, message);
        },
    });
  }

  destroy(): void {
    this.#destroyed = true;
    // With an error, as kafkajs takes no notice of a socket that merely closes.
    for (const socket of this.#sockets) socket.destroy(new Error('The client was closed'));
  }

  #open({
    host,
    port,
    ssl,
    onConnect,
  }: Parameters<NonNullable<ConstructorParameters<typeof Kafka>[0]['socketFactory']>>[0]) {
    if (this.#destroyed) throw new Error('The client was closed');
    const options = { ...(net.isIP(host) === 0 ? { servername: host } : {}), ...ssl, host, port };
    // kafkajs passes nothing for `ssl` where there is none.
    const socket = isSet(ssl) ? tls.connect(options, onConnect) : net.connect({ host, port }, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.setNoDelay(true);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }
}

function saslOf({ mechanism, username, password }: NonNullable<KafkaConnection['credentials']>): SASLOptions {
  switch (mechanism) {
    case 'plain':
      return { mechanism, username, password };
    case 'scram-sha-256':
      return { mechanism, username, password };
    case 'scram-sha-512':
      return { mechanism, username, password };
  }
}

function isSet(ssl: unknown): boolean {
  return ssl !== undefined && ssl !== null && ssl !== false;
}

const ADMIN_RETRY: RetryOptions = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 3 };

/** Asks the cluster something, with a connection that lives as long. */
export async function withAdmin<T>(
  connection: KafkaConnection,
  timeoutMs: number,
  ask: (admin: Admin) => Promise<T>,
): Promise<T> {
  const client = new KafkaClient(connection, { requestTimeoutMs: timeoutMs, retry: ADMIN_RETRY });
  const admin = client.kafka.admin();
  try {
    const asked = async (): Promise<T> => {
      await admin.connect();
      return ask(admin);
    };
    return await within(timeoutMs, `Kafka at ${connection.brokers.join(',')}`, asked());
  } finally {
    client.destroy();
  }
}
