import { ParleyError } from '@parley/contracts';
import { describe, expect, it } from '@jest/globals';

import { backoffMs, mapBounded, mayRepeat, NoAnswer, untilAnswered } from './retry.js';

const backoff = { firstMs: 1_000, capMs: 60_000, jitter: 0.5, random: () => 0.5 };

describe('backoffMs', () => {
  it('doubles up to the cap', () => {
    expect([0, 1, 2, 5, 6, 100].map((n) => backoffMs(backoff, n))).toEqual([1000, 2000, 4000, 32000, 60000, 60000]);
  });

  it('spreads by the jitter to both sides', () => {
    expect(backoffMs({ ...backoff, random: () => 0 }, 0)).toBe(500);
    expect(backoffMs({ ...backoff, random: () => 1 }, 6)).toBe(90_000);
  });
});

describe('untilAnswered', () => {
  const fast = { firstMs: 0, capMs: 0, jitter: 0, random: () => 0 };

  it('repeats what was not answered or may succeed later', async () => {
    const outcomes: Error[] = [new NoAnswer('GET /', new Error('reset')), new ParleyError('unavailable', 'no store')];
    const answer = await untilAnswered(
      () => {
        const failure = outcomes.shift();
        return failure === undefined ? Promise.resolve('done') : Promise.reject(failure);
      },
      { backoff: fast },
    );
    expect(answer).toBe('done');
  });

  it('does not repeat a refusal', async () => {
    let calls = 0;
    const refused = untilAnswered(
      () => {
        calls += 1;
        return Promise.reject(new ParleyError('forbidden', 'no'));
      },
      { backoff: fast },
    );
    await expect(refused).rejects.toThrow('no');
    expect(calls).toBe(1);
    expect(mayRepeat(new TypeError('a bug'))).toBe(false);
  });
});

describe('mapBounded', () => {
  it('keeps the order of the items and the bound', async () => {
    let running = 0;
    let most = 0;
    const results = await mapBounded([5, 4, 3, 2, 1], 2, async (item) => {
      running += 1;
      most = Math.max(most, running);
      for (let turn = 0; turn < item; turn += 1) await Promise.resolve();
      running -= 1;
      return item * 10;
    });
    expect(results).toEqual([50, 40, 30, 20, 10]);
    expect(most).toBe(2);
  });

  it('starts nothing more after a failure', async () => {
    let started = 0;
    const failing = mapBounded([1, 2, 3, 4], 1, () => {
      started += 1;
      return Promise.reject(new Error('first'));
    });
    await expect(failing).rejects.toThrow('first');
    expect(started).toBe(1);
  });
});
