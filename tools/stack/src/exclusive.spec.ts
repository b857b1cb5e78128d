import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';

import { exclusive } from './exclusive.js';

describe('exclusive work', () => {
  it('is done by one at a time', async () => {
    const path = randomUUID();
    let atWork = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, (atWork += 1));
      await new Promise(setImmediate);
      atWork -= 1;
    };
    await Promise.all(Array.from({ length: 20 }, () => exclusive(path, work)));
    expect(most).toBe(1);
  });

  it('waits for nobody under another path', async () => {
    const order: string[] = [];
    await exclusive(randomUUID(), async () => {
      await exclusive(randomUUID(), () => Promise.resolve(void order.push('inner')));
      order.push('outer');
    });
    expect(order).toEqual(['inner', 'outer']);
  });

  it('leaves no lock behind when it fails', async () => {
    const path = randomUUID();
    await expect(exclusive(path, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    expect(await exclusive(path, () => Promise.resolve('done'))).toBe('done');
  });
});
