import { describe, expect, it } from '@jest/globals';
import { Username } from '@parley/contracts';
import { readFileSync } from 'node:fs';

import { BUNDLED_LOGS } from './bundled-logs.js';
import { parseLog } from './irc-log.js';
import { decodeNick, encodeNick } from './nick.js';

describe('encodeNick', () => {
  it('makes a username of every nick of the logs, and reads it back', () => {
    const nicks = BUNDLED_LOGS.flatMap(({ log }) =>
      parseLog(readFileSync(log)).flatMap((line) => ('nick' in line ? [line.nick] : [])),
    );
    for (const nick of [...nicks, 'a.b', '.41.', 'A', '#+/?', 'ü😀\u0000', '\ufffd']) {
      const encoded = encodeNick(nick);
      expect(Username.safeParse(`1234567890123.9.99.${encoded}`).success).toBe(true);
      expect(decodeNick(encoded)).toBe(nick);
    }
  });

  it('keeps endless nicks apart, though they do not read back', () => {
    expect(encodeNick('x'.repeat(500))).not.toBe(encodeNick('x'.repeat(501)));
    expect(decodeNick(encodeNick('x'.repeat(500)))).toBeUndefined();
  });
});
