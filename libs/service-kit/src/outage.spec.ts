import { describe, expect, it } from '@jest/globals';
import { ParleyError } from '@parley/contracts';

import { ManualClock } from './clock.js';
import { Outage } from './outage.js';

const away = async (): Promise<string> => {
  throw new ParleyError('unavailable', 'away');
};

describe('an outage', () => {
  it('is known for a moment, in which nothing is asked; then one call tries, and nobody waits for it', async () => {
    const clock = new ManualClock();
    const outage = new Outage(clock, 1_000);
    expect(await outage.or(away, () => 'instead')).toBe('instead');
    let asked = 0;
    const answer = Promise.withResolvers<string>();
    const back = (): Promise<string> => {
      asked += 1;
      return answer.promise;
    };
    expect([await outage.or(back, () => 'instead'), asked]).toEqual(['instead', 0]);
    clock.advance(1_000);
    expect([await outage.or(back, () => 'instead'), asked]).toEqual(['instead', 1]);
    expect([await outage.or(back, () => 'instead'), asked]).toEqual(['instead', 1]);
    answer.resolve('back');
    await answer.promise.then(() => undefined);
    expect([await outage.or(back, () => 'instead'), asked, outage.known]).toEqual(['back', 2, false]);
  });

  it('that was met long ago is no reason to answer with what is old', async () => {
    const clock = new ManualClock();
    const outage = new Outage(clock);
    await outage.or(away, () => 'instead');
    clock.advance(5_000);
    expect(
      await outage.or(
        async () => 'back',
        () => 'instead',
      ),
    ).toBe('back');
  });

  it('is over when what tries is answered, be it with a refusal', async () => {
    const clock = new ManualClock();
    const outage = new Outage(clock);
    await outage.or(away, () => 'instead');
    clock.advance(1_000);
    const refused = Promise.reject<string>(new ParleyError('conflict', 'taken'));
    expect(
      await outage.or(
        () => refused,
        () => 'instead',
      ),
    ).toBe('instead');
    await refused.catch(() => undefined);
    await Promise.resolve();
    await Promise.resolve();
    expect(outage.known).toBe(false);
  });

  it('is the refusal where there is nothing instead, and asks all the same', async () => {
    const outage = new Outage(new ManualClock());
    await expect(outage.or(away, () => undefined)).rejects.toMatchObject({ code: 'unavailable' });
    expect(
      await outage.or(
        async () => 'back',
        () => undefined,
      ),
    ).toBe('back');
  });

  it('is not what else goes wrong', async () => {
    const outage = new Outage(new ManualClock());
    const wrong = async (): Promise<string> => {
      throw new ParleyError('conflict', 'taken');
    };
    await expect(outage.or(wrong, () => 'instead')).rejects.toMatchObject({ code: 'conflict' });
    expect(outage.known).toBe(false);
  });
});
