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

/** Resolves after the time, or as soon as the signal aborts. */
export type Pause = (ms: number, signal: AbortSignal) => Promise<void>;

export interface RetryPolicy {
  /** Attempts at a batch before its records are tried one by one. */
  readonly attempts: number;
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
  readonly pause: Pause;
}

export interface PartitionOptions<R> {
  /** Who handles this partition now; asked before every attempt, as members come and go. */
  readonly member: () => Member<R> | undefined;
  readonly retry: RetryPolicy;
  readonly stopped: AbortSignal;
  readonly deadLetter: (record: R, error: unknown) => void;
}

type Attempt =
  { readonly kind: 'handled' } | { readonly kind: 'threw'; readonly error: unknown } | { readonly kind: 'stopped' };

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
    const { attempts, firstPauseMs, maxPauseMs, pause } = this.#options.retry;
    let outcome = await this.#attempt(batch);
    for (let made = 1; made < attempts && outcome.kind === 'threw'; made += 1) {
      await pause(Math.min(firstPauseMs * 2 ** (made - 1), maxPauseMs), this.#options.stopped);
      outcome = await this.#attempt(batch);
    }
    switch (outcome.kind) {
      case 'handled':
        for (const { ticket } of batch) ticket.done();
        break;
      case 'stopped':
        for (const { ticket } of batch) ticket.abandoned();
        break;
      case 'threw':
        if (batch.length === 1) this.#bury(batch, outcome.error);
        else for (const queued of batch) await this.#handleAlone(queued);
        break;
    }
  }

  /** One bad record must not take the others of its batch with it. */
  async #handleAlone(queued: Queued<R>): Promise<void> {
    const outcome = await this.#attempt([queued]);
    switch (outcome.kind) {
      case 'handled':
        queued.ticket.done();
        break;
      case 'stopped':
        queued.ticket.abandoned();
        break;
      case 'threw':
        this.#bury([queued], outcome.error);
        break;
    }
  }

  #bury(batch: readonly Queued<R>[], error: unknown): void {
    for (const { record, ticket } of batch) {
      this.#options.deadLetter(record, error);
      ticket.done();
    }
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
