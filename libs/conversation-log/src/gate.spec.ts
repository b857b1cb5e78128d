import { describe, expect, it } from '@jest/globals';

import { Gate, inParallel } from './gate.js';

const BOUNDS = { name: 'calls', inFlightMax: 2, queueMax: 2, waitMaxMs: 60_000 };

/** Calls that end when they are told to. */
class Calls {
  readonly started: number[] = [];
  readonly #ends = new Map<number, () => void>();

  call(id: number): () => Promise<number> {
    return async () => {
      this.started.push(id);
      await new Promise<void>((resolve) => this.#ends.set(id, resolve));
      return id;
    };
  }
  end(id: number): void {
    this.#ends.get(id)?.();
  }
}

describe('a gate', () => {
  it('lets so many through, the others in their order, and refuses what is too much', async () => {
    const gate = new Gate(BOUNDS);
    const calls = new Calls();
    const answers = [1, 2, 3, 4].map((id) => gate.run(calls.call(id)));
    await expect(gate.run(calls.call(5))).rejects.toMatchObject({ code: 'overloaded' });
    expect(calls.started).toEqual([1, 2]);
    for (const id of [2, 1, 3, 4]) {
      calls.end(id);
      await answers[id - 1];
    }
    expect(calls.started).toEqual([1, 2, 3, 4]);
    expect(await Promise.all(answers)).toEqual([1, 2, 3, 4]);
  });

  it('gives the place of a call that fails to the next', async () => {
    const gate = new Gate({ ...BOUNDS, inFlightMax: 1 });
    const failing = gate.run(() => Promise.reject(new Error('broken')));
    const next = gate.run(() => Promise.resolve('next'));
    await expect(failing).rejects.toThrow('broken');
    expect(await next).toBe('next');
  });

  it('lets nothing wait longer than it may', async () => {
    const gate = new Gate({ ...BOUNDS, inFlightMax: 1, waitMaxMs: 1 });
    const calls = new Calls();
    const first = gate.run(calls.call(1));
    await expect(gate.run(calls.call(2))).rejects.toMatchObject({ code: 'overloaded' });
    calls.end(1);
    await first;
    expect(await gate.run(() => Promise.resolve(3))).toBe(3);
  });

  it('closes when what is in flight has ended, and refuses the rest', async () => {
    const gate = new Gate({ ...BOUNDS, inFlightMax: 1 });
    const calls = new Calls();
    const first = gate.run(calls.call(1));
    const waiting = gate.run(calls.call(2));
    const closed = gate.close();
    await expect(waiting).rejects.toMatchObject({ code: 'unavailable' });
    await expect(gate.run(calls.call(3))).rejects.toMatchObject({ code: 'unavailable' });
    calls.end(1);
    expect(await first).toBe(1);
    await closed;
  });
});

describe('doing for each', () => {
  it('answers in order, with so many at once at most', async () => {
    let [now, most] = [0, 0];
    const answers = await inParallel([5, 4, 3, 2, 1], 2, async (item, index) => {
      now += 1;
      most = Math.max(most, now);
      await Promise.resolve();
      now -= 1;
      return `${index}:${item}`;
    });
    expect(answers).toEqual(['0:5', '1:4', '2:3', '3:2', '4:1']);
    expect(most).toBe(2);
    expect(await inParallel([], 2, () => Promise.resolve(1))).toEqual([]);
  });

  it('starts nothing more once one has failed', async () => {
    const started: number[] = [];
    const failing = inParallel([1, 2, 3, 4], 1, (item) => {
      started.push(item);
      return item === 2 ? Promise.reject(new Error('broken')) : Promise.resolve();
    });
    await expect(failing).rejects.toThrow('broken');
    expect(started).toEqual([1, 2]);
  });
});
