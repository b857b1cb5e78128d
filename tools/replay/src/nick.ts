import { createHash } from 'node:crypto';

/** What the contract's `Username` is longest, less the prefix of a run. */
const ENCODED_MAX = 44;

/**
 * A nick as part of a username. Letters, digits and the punctuation of IRC stand for themselves, everything else
 * (the dot included) is `.` code point in hex `.`; so it reads back. What does not fit is a digest, which does not:
 * `nickOf` then answers undefined, and only the roster knows.
 */
export function encodeNick(nick: string): string {
  let encoded = '';
  for (const char of nick) {
    encoded += /^[A-Za-z0-9_\-[\]\\`^{|}]$/.test(char) ? char : `.${(char.codePointAt(0) ?? 0).toString(16)}.`;
  }
  if (encoded.length <= ENCODED_MAX) return encoded;
  return `..${createHash('sha256').update(nick).digest('hex').slice(0, 24)}`;
}

export function decodeNick(encoded: string): string | undefined {
  if (encoded.startsWith('..')) return undefined;
  return encoded.replace(/\.([0-9a-f]+)\./g, (_whole, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
}

/** Nicks are the same whatever their case, and so may usernames be. */
export function nickKey(nick: string): string {
  return nick.toLowerCase();
}
