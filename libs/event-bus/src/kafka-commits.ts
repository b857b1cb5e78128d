import type { EachBatchPayload } from 'kafkajs';

import type { KafkaLog } from './kafka-config.js';

type Commit = EachBatchPayload['commitOffsetsIfNecessary'];

/**
 * Commits what was handled while the next is being handled: one commit at a time, of all partitions that moved on
 * meanwhile. One after every batch would cost a round trip before the next fetch. What a crash leaves uncommitted is
 * handled again.
 */
export class KafkaCommits {
  readonly #handled = new Map<number, bigint>();
  #commit: Commit | null = null;
  #committing: Promise<void> | null = null;

  constructor(
    private readonly topic: string,
    private readonly log: KafkaLog,
  ) {}

  handled(partition: number, nextOffset: bigint, commit: Commit): void {
    this.#handled.set(partition, nextOffset);
    this.#commit = commit;
    this.#committing ??= this.#run();
  }

  /** The group has divided its partitions anew: nothing is committed for what may be another's now (kafkajs#1046). */
  forget(): void {
    this.#handled.clear();
  }

  /** Resolves when everything handled is committed, or a commit failed. */
  async settled(): Promise<void> {
    if (this.#handled.size > 0) this.#committing ??= this.#run();
    await this.#committing;
  }

  async #run(): Promise<void> {
    // After the loop that calls this has gone through its batch.
    await Promise.resolve();
    while (this.#handled.size > 0 && this.#commit !== null) {
      const moved = [...this.#handled];
      this.#handled.clear();
      const partitions = moved.map(([partition, offset]) => ({ partition, offset: String(offset) }));
      try {
        await this.#commit({ topics: [{ topic: this.topic, partitions }] });
      } catch (error) {
        this.log.info({ err: error, topic: this.topic }, 'offsets were not committed');
        // Said again with the next; should there be none, whoever has the partition next handles the records again.
        for (const [partition, offset] of moved) {
          if (!this.#handled.has(partition)) this.#handled.set(partition, offset);
        }
        break;
      }
    }
    this.#committing = null;
  }
}
