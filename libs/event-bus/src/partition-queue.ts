import { type Attempt, handleInOrder, type RetryPolicy } from './handle-in-order.js';

/** A publish's share in one record: told once the record is done with, or that nobody is left to handle it. */
export interface Ticket {
  done(): void;
  abandoned(): void;
}

export interface Queued<R> {
  readonly record: R;
  readonly ticket: Ticket;
}

export interface Member<R> {
  readonly handle: (records: readonly R[]) => Promise<void>;
  readonly maxBatch: number;
  /** Handlers that are running; a member that closes waits for them. */
  readonly running: Set<Promise<unknown>>;
}

export interface PartitionOptions<R> {
  /** Who handles this partition now; asked before every attempt, as members come and go. */
  readonly member: () => Member<R> | undefined;
  readonly retry: RetryPolicy;
  readonly stopped: AbortSignal;
  readonly deadLetter: (record: R, error: unknown) => void;
}

/** Records of one partition of one group: one batch at a time, in order, whatever is waiting at once. */
export class PartitionQueue<R> {
  readonly #options: PartitionOptions<R>;
  #waiting: Queued<R>[] = [];
  #draining = false;

  constructor(options: PartitionOptions<R>) {
    this.#options = options;
  }

  push(queued: Queued<R>): void {
    this.#waiting.push(queued);
    if (this.#draining) return;
    this.#draining = true;
    // After the publish that pushed this has pushed all its records, so that they are one batch.
    queueMicrotask(() => void this.#drain());
  }

  async #drain(): Promise<void> {
    for (;;) {
      const member = this.#options.member();
      if (member === undefined || this.#waiting.length === 0) break;
      await this.#handle(this.#waiting.splice(0, member.maxBatch));
    }
    this.#draining = false;
    // With a member there is nothing left; without, nobody will come for the rest.
    for (const { ticket } of this.#waiting.splice(0)) ticket.abandoned();
  }

  async #handle(batch: readonly Queued<R>[]): Promise<void> {
    const { retry, stopped, deadLetter } = this.#options;
    let done = 0;
    const finished = await handleInOrder(batch, {
      attempt: (queued) => this.#attempt(queued),
      retry,
      stopped,
      deadLetter: ({ record }, error) => deadLetter(record, error),
      done({ ticket }) {
        done += 1;
        ticket.done();
      },
    });
    if (!finished) for (const { ticket } of batch.slice(done)) ticket.abandoned();
  }

  async #attempt(batch: readonly Queued<R>[]): Promise<Attempt> {
    const member = this.#options.member();
    if (member === undefined) return { kind: 'stopped' };
    const attempt = invoke(member, batch);
    member.running.add(attempt);
    try {
      return await attempt;
    } finally {
      member.running.delete(attempt);
    }
  }
}

async function invoke<R>(member: Member<R>, batch: readonly Queued<R>[]): Promise<Attempt> {
  try {
    await member.handle(batch.map(({ record }) => record));
    return { kind: 'handled' };
  } catch (error) {
    return { kind: 'threw', error };
  }
}
