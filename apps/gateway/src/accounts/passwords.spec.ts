import { describe, expect, it } from '@jest/globals';

import { CHEAP_COST } from './accounts-fixture.js';
import { OWASP_COST, Passwords } from './passwords.js';

describe('passwords', () => {
  it('are hashed with argon2id at the cost that OWASP asks for', async () => {
    const passwords = await Passwords.open();
    const hash = await passwords.hash('correct horse');
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(OWASP_COST).toEqual({ memoryCost: 19_456, timeCost: 2, parallelism: 1 });
    expect(await passwords.verify(hash, 'correct horse')).toBe(true);
    expect(await passwords.verify(hash, 'Correct horse')).toBe(false);
  });

  it('are the same however the keyboard composes their letters', async () => {
    const passwords = await Passwords.open({ cost: CHEAP_COST });
    expect(await passwords.verify(await passwords.hash('caf\u00e9 noir'), 'cafe\u0301 noir')).toBe(true);
  });

  it('of nobody match nothing', async () => {
    const passwords = await Passwords.open({ cost: CHEAP_COST });
    expect(await passwords.verify(null, '')).toBe(false);
    expect(await passwords.verify(null, 'correct horse')).toBe(false);
  });

  it('are refused when too many wait, and checked again when fewer do', async () => {
    const passwords = await Passwords.open({ cost: CHEAP_COST, maxAtOnce: 2, maxWaiting: 3 });
    const settled = await Promise.allSettled(Array.from({ length: 8 }, () => passwords.hash('correct horse')));
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    for (const outcome of settled) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'overloaded' });
    }
    await expect(passwords.hash('correct horse')).resolves.toMatch(/^\$argon2id/);
  });
});
