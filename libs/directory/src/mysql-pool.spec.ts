import { describe, expect, it, jest } from '@jest/globals';

import { type Pooled, MysqlPool, type PoolLimits } from './mysql-pool.js';

class Connection implements Pooled {
  alive = true;
  left = false;
  #listener: () => void = () => undefined;

  onLost(listener: () => void): void {
    this.#listener = listener;
  }

  async quit(): Promise<void> {
    this.alive = false;
    this.left = true;
  }

  destroy(): void {
    this.alive = false;
    this.#listener();
  }
}

const LIMITS: PoolLimits = { connections: 2, maxWaiting: 3, waitMs: 1_000, idleMs: 10_000 };

function pool(limits: Partial<PoolLimits> = {}) {
  const made: Connection[] = [];
  const subject = new MysqlPool<Connection>(
    async () => {
      const connection = new Connection();
      made.push(connection);
      return connection;
    },
    { ...LIMITS, ...limits },
  );
  return { made, subject };
}

describe('the pool of connections', () => {
  it('makes one when it is needed, and uses the last one again', async () => {
    const { made, subject } = pool();
    const [one, two] = [await subject.acquire(), await subject.acquire()];
    subject.release(one);
    subject.release(two);
    expect(await subject.acquire()).toBe(two);
    expect(made).toHaveLength(2);
  });

  it('hands a released one to who has waited longest', async () => {
    const { subject } = pool({ connections: 1 });
    const only = await subject.acquire();
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (n) => {
      const connection = await subject.acquire();
      order.push(n);
      subject.release(connection);
    });
    subject.release(only);
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
  });

  it('makes another one for who waits when one is lost in use', async () => {
    const { made, subject } = pool({ connections: 1 });
    const only = await subject.acquire();
    const waiting = subject.acquire();
    only.destroy();
    subject.release(only);
    expect(await waiting).toBe(made[1]);
  });

  it('forgets one that is lost at rest', async () => {
    const { made, subject } = pool({ connections: 1 });
    const only = await subject.acquire();
    subject.release(only);
    only.destroy();
    expect(await subject.acquire()).toBe(made[1]);
  });

  it('refuses beyond its bound at once', async () => {
    const { subject } = pool({ connections: 1, maxWaiting: 1 });
    const only = await subject.acquire();
    const waiting = subject.acquire();
    await expect(subject.acquire()).rejects.toMatchObject({ code: 'overloaded' });
    subject.release(only);
    await waiting;
  });

  it('tells a server that is silent from one that is busy', async () => {
    jest.useFakeTimers();
    try {
      const { subject } = pool({ connections: 2 });
      const [one] = [await subject.acquire(), await subject.acquire()];
      const silent = expect(subject.acquire()).rejects.toMatchObject({ code: 'unavailable' });
      await jest.advanceTimersByTimeAsync(LIMITS.waitMs);
      await silent;
      const first = subject.acquire();
      const busy = expect(subject.acquire()).rejects.toMatchObject({ code: 'overloaded' });
      subject.release(one);
      await first;
      await jest.advanceTimersByTimeAsync(LIMITS.waitMs);
      await busy;
    } finally {
      jest.useRealTimers();
    }
  });

  it('closes one that nobody needs for long', async () => {
    jest.useFakeTimers();
    try {
      const { made, subject } = pool();
      subject.release(await subject.acquire());
      await jest.advanceTimersByTimeAsync(LIMITS.idleMs);
      expect(made[0]?.left).toBe(true);
      expect(await subject.acquire()).toBe(made[1]);
    } finally {
      jest.useRealTimers();
    }
  });

  it('tells each caller why connecting failed, and tries again for the next', async () => {
    let attempts = 0;
    const subject = new MysqlPool<Connection>(async () => {
      attempts += 1;
      if (attempts <= 3) throw new Error(`refused ${attempts}`);
      return new Connection();
    }, LIMITS);
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => subject.acquire()));
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect((await subject.acquire()).alive).toBe(true);
  });

  it('does not fail a caller by an attempt that began before they came', async () => {
    const { promise: failing, reject: fail } = Promise.withResolvers<Connection>();
    let attempts = 0;
    const subject = new MysqlPool<Connection>(
      () => {
        attempts += 1;
        return attempts === 1 ? failing : Promise.resolve(new Connection());
      },
      { ...LIMITS, connections: 1 },
    );
    const first = expect(subject.acquire()).rejects.toThrow('silent');
    const second = subject.acquire();
    fail(new Error('silent'));
    await first;
    expect((await second).alive).toBe(true);
  });

  it('lets what was begun end before it is closed, and refuses the rest', async () => {
    const { made, subject } = pool({ connections: 1 });
    const only = await subject.acquire();
    const waiting = expect(subject.acquire()).rejects.toMatchObject({ code: 'unavailable' });
    let closed = false;
    const closing = subject.close().then(() => (closed = true));
    await waiting;
    await expect(subject.acquire()).rejects.toMatchObject({ code: 'unavailable' });
    expect(closed).toBe(false);
    subject.release(only);
    await closing;
    expect(made[0]?.left).toBe(true);
  });
});
