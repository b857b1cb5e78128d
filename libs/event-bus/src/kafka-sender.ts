import { CompressionTypes, type Message, Partitioners, type Producer, type RecordMetadata } from 'kafkajs';

import { within } from './deadline.js';
import { KafkaClient } from './kafka-client.js';
import type { KafkaConnection } from './kafka-config.js';
import type { Outgoing, Sender } from './publish-queue.js';

/** A fresh broker loads its producer state first, so this is longer than a publish may take. */
const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 1_500;
const RETRY = { initialRetryTime: 50, maxRetryTime: 400, retries: 5 };

/** A producer with an identity of its own, which the brokers use to drop repetitions. */
export class KafkaSender implements Sender {
  readonly #client: KafkaClient;
  readonly #producer: Producer;
  /** Where the partitioner put the records of the send under way. */
  readonly #chosen = new Set<string>();

  private constructor(connection: KafkaConnection) {
    this.#client = new KafkaClient(connection, { requestTimeoutMs: REQUEST_TIMEOUT_MS, retry: RETRY });
    this.#producer = this.#client.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      retry: RETRY,
      createPartitioner: () => {
        const choose = Partitioners.DefaultPartitioner();
        return (args) => {
          const partition = choose(args);
          this.#chosen.add(partitionKey(args.topic, partition));
          return partition;
        };
      },
    });
  }

  static async connect(connection: KafkaConnection): Promise<KafkaSender> {
    const sender = new KafkaSender(connection);
    try {
      await within(CONNECT_TIMEOUT_MS, 'Connecting to Kafka', sender.#producer.connect());
      return sender;
    } catch (error) {
      sender.destroy();
      throw error;
    }
  }

  async send(batch: readonly Outgoing[]): Promise<void> {
    this.#chosen.clear();
    const byTopic = new Map<string, Message[]>();
    for (const { topic, message } of batch) {
      const messages = byTopic.get(topic) ?? [];
      byTopic.set(topic, messages);
      messages.push({ ...message, headers: { ...message.headers } });
    }
    const written = await this.#producer.sendBatch({
      acks: -1,
      timeout: REQUEST_TIMEOUT_MS,
      compression: CompressionTypes.None,
      topicMessages: [...byTopic].map(([topic, messages]) => ({ topic, messages })),
    });
    const missing = unwritten(this.#chosen, written);
    if (missing.length > 0) throw new Error(`No broker confirmed ${missing.join(', ')}`);
  }

  destroy(): void {
    this.#client.destroy();
  }
}

function partitionKey(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

/**
 * Partitions that nobody confirmed. kafkajs does not ask a broker again that has answered; where a leadership moves to
 * one during a send, that partition's records go nowhere, and the send succeeds.
 */
export function unwritten(chosen: ReadonlySet<string>, written: readonly RecordMetadata[]): readonly string[] {
  const confirmed = new Set(
    written
      .filter(({ errorCode }) => errorCode === 0)
      .map(({ topicName, partition }) => partitionKey(topicName, partition)),
  );
  return [...chosen].filter((each) => !confirmed.has(each));
}
