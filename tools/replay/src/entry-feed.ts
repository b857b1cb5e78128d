/** Positions held back until what is before them is there; beyond this they are dropped and fetched again. */
export const HELD_MAX = 5_000;

/**
 * What a client shows of one conversation: every position once and in order, whatever order they arrive in. The
 * cursor is the last position up to which nothing is missing.
 */
export class EntryFeed {
  readonly #shown: number[] = [];
  readonly #held = new Set<number>();
  #cursor = 0;

  get cursor(): number {
    return this.#cursor;
  }

  get shown(): readonly number[] {
    return this.#shown;
  }

  /** Something has arrived that cannot be shown before what is missing. */
  get waiting(): boolean {
    return this.#held.size > 0;
  }

  /** A live event or an acknowledgement. Answers whether it was new. */
  receive(seq: number): boolean {
    if (seq <= this.#cursor || this.#held.has(seq)) return false;
    if (seq === this.#cursor + 1) {
      this.#show(seq);
      this.#release();
    } else if (this.#held.size < HELD_MAX) {
      this.#held.add(seq);
    }
    return true;
  }

  /** A page of `sync`: what is missing below its cursor is not this client's to see. */
  fetched(seqs: readonly number[], cursor: number): void {
    for (const seq of seqs) if (seq > this.#cursor) this.#show(seq);
    this.#cursor = Math.max(this.#cursor, cursor);
    for (const seq of this.#held) if (seq <= this.#cursor) this.#held.delete(seq);
    this.#release();
  }

  #show(seq: number): void {
    this.#shown.push(seq);
    this.#cursor = seq;
    this.#held.delete(seq);
  }

  #release(): void {
    while (this.#held.has(this.#cursor + 1)) this.#show(this.#cursor + 1);
  }
}
