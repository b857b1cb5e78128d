import { ParleyError } from '@parley/contracts';

/** What the pool needs of a connection. */
export interface Pooled {
  readonly alive: boolean;
  onLost(listener: () => void): void;
  quit(): Promise<void>;
  destroy(): void;
}

export interface PoolLimits {
  readonly connections: number;
  /** Calls that wait for a connection; beyond, `overloaded`. */
  readonly maxWaiting: number;
  /** How long one waits, connecting included. */
  readonly waitMs: number;
  /** A connection that nobody needed for this long is closed: sooner than servers and what stands between do it. */
  readonly idleMs: number;
}

interface Waiter<C> {
  readonly enter: (connection: C) => void;
  readonly refuse: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
  /** The how many-th who ever waited. */
  readonly arrival: number;
  readonly answeredBefore: number;
}

/**
 * A bounded number of connections, first come, first served. Ours and not mysql2's, whose queue has no deadline, and
 * whose waiting calls stay behind when connections are lost while the server is away.
 */
export class MysqlPool<C extends Pooled> {
  readonly #connect: () => Promise<C>;
  readonly #limits: PoolLimits;
  readonly #waiting: Waiter<C>[] = [];
  /** The last one released is the next one used, so that those too many grow old. */
  readonly #idle = new Map<C, NodeJS.Timeout>();
  /** Idle, in use and being made. */
  #size = 0;
  #connecting = 0;
  #arrivals = 0;
  /** Connections released in working order, which says that the server answers. */
  #answered = 0;
  #closed: Promise<void> | null = null;
  #emptied: () => void = () => undefined;

  constructor(connect: () => Promise<C>, limits: PoolLimits) {
    this.#connect = connect;
    this.#limits = limits;
  }

  /** `unavailable` when the server is away or silent, `overloaded` when others have all connections. */
  acquire(): Promise<C> {
    return new Promise<C>((enter, refuse) => {
      if (this.#closed !== null) {
        refuse(closedError());
        return;
      }
      if (this.#waiting.length >= this.#limits.maxWaiting) {
        refuse(new ParleyError('overloaded', 'Too many calls are waiting for the directory'));
        return;
      }
      const timer = setTimeout(() => this.#giveUp(waiter), this.#limits.waitMs);
      this.#arrivals += 1;
      const waiter: Waiter<C> = { enter, refuse, timer, arrival: this.#arrivals, answeredBefore: this.#answered };
      this.#waiting.push(waiter);
      this.#serve();
    });
  }

  /** Every connection that was acquired comes back here, also when it was lost. */
  release(connection: C): void {
    if (!connection.alive) {
      this.#forget();
    } else {
      this.#answered += 1;
      if (this.#closed !== null) void this.#leave(connection);
      else this.#rest(connection);
    }
    this.#serve();
  }

  /** What waits is refused; what was begun ends first. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const waiter of this.#waiting.splice(0)) settle(waiter).refuse(closedError());
    const emptied = new Promise<void>((resolve) => (this.#emptied = resolve));
    for (const connection of [...this.#idle.keys()]) this.#retire(connection);
    if (this.#size > 0) await emptied;
  }

  #serve(): void {
    for (const connection of [...this.#idle.keys()].reverse()) {
      const waiter = this.#waiting.shift();
      if (waiter === undefined) return;
      clearTimeout(this.#idle.get(connection));
      this.#idle.delete(connection);
      settle(waiter).enter(connection);
    }
    while (this.#connecting < this.#waiting.length && this.#size < this.#limits.connections) void this.#grow();
  }

  async #grow(): Promise<void> {
    const begunFor = this.#arrivals;
    this.#size += 1;
    this.#connecting += 1;
    try {
      const connection = await this.#connect();
      connection.onLost(() => this.#lost(connection));
      this.#connecting -= 1;
      if (this.#closed !== null) await this.#leave(connection);
      else this.#rest(connection);
    } catch (error) {
      this.#connecting -= 1;
      this.#forget();
      // An attempt from before says nothing to who came after it: the server may be back since.
      const [oldest] = this.#waiting;
      if (oldest !== undefined && oldest.arrival <= begunFor) {
        this.#waiting.shift();
        settle(oldest).refuse(error);
      }
    }
    this.#serve();
  }

  #rest(connection: C): void {
    const timer = setTimeout(() => this.#retire(connection), this.#limits.idleMs);
    timer.unref();
    this.#idle.set(connection, timer);
  }

  /** Closes one at rest. */
  #retire(connection: C): void {
    clearTimeout(this.#idle.get(connection));
    this.#idle.delete(connection);
    void this.#leave(connection);
  }

  async #leave(connection: C): Promise<void> {
    try {
      await connection.quit();
    } finally {
      this.#forget();
    }
  }

  /** One at rest is forgotten here; one in use when it is released. */
  #lost(connection: C): void {
    const timer = this.#idle.get(connection);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#idle.delete(connection);
    this.#forget();
  }

  #forget(): void {
    this.#size -= 1;
    if (this.#size === 0) this.#emptied();
  }

  #giveUp(waiter: Waiter<C>): void {
    this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
    waiter.refuse(
      this.#answered === waiter.answeredBefore
        ? new ParleyError('unavailable', `The directory's database has not answered in ${this.#limits.waitMs} ms`)
        : new ParleyError('overloaded', `No connection to the directory's database in ${this.#limits.waitMs} ms`),
    );
  }
}

function settle<C>(waiter: Waiter<C>): Waiter<C> {
  clearTimeout(waiter.timer);
  return waiter;
}

function closedError(): ParleyError {
  return new ParleyError('unavailable', 'The directory is closed');
}
