import { describe, expect, it } from '@jest/globals';
import { ParleyError } from '@parley/contracts';

import { ManualClock } from './clock.js';
import { Outage } from './outage.js';

const away = async (): Promise<string> => {
  throw new ParleyError('unavailable', 'away');
};

describe('an outage', () => {
  it('is known for a moment, in which nothing is asked; then somebody tries', async () => {
    const clock = new ManualClock();
    const outage = new Outage(clock, 1_000);
    expect(await outage.or(away, () => 'instead')).toBe('instead');
    let asked = 0;
    const back = async (): Promise<string> => {
      asked += 1;
      return 'back';
    };
    expect([await outage.or(back, () => 'instead'), asked]).toEqual(['instead', 0]);
    clock.advance(1_000);
    expect([await outage.or(back, () => 'instead'), asked, outage.known]).toEqual(['back', 1, false]);
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
