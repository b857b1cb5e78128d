import { describe, expect, it } from '@jest/globals';
import { Username } from '@parley/contracts';

import { usernameFrom } from './free-username.js';

describe('a username from what an issuer says', () => {
  it('keeps what may stand in one', () => {
    expect(usernameFrom('ann@example.com')).toBe('ann');
    expect(usernameFrom('Zoë Müller')).toBe('Zoë-Müller');
    expect(usernameFrom('auth0|5f7c')).toBe('auth0-5f7c');
    expect(usernameFrom(' / ')).toBe('user');
    expect(usernameFrom('@')).toBe('user');
  });

  it('is always a username, with room for a suffix', () => {
    for (const text of ['a'.repeat(200), '𠮷'.repeat(99), `x${'𠮷'.repeat(99)}`, '😀😀', '-.-', 'a\u0000b', '\ud800']) {
      expect(Username.safeParse(`${usernameFrom(text)}-999999999`).success).toBe(true);
    }
  });
});
