import { randomInt } from 'node:crypto';

import { ParleyError } from '@parley/contracts';
import type { Directory, NewUser, UserRecord } from '@parley/directory';

/** Room for a suffix within the 64 characters of a username. */
const BASE_MAX = 52;
/** Tried in order before numbers are drawn: `ann`, `ann-2`, … */
const COUNTED = 5;
const ATTEMPTS = 10;

/** The part of a name, an email address or an id that may be a username. */
export function usernameFrom(text: string): string {
  const [local = ''] = text.normalize('NFC').split('@');
  const cleaned = local.replace(/[^\p{L}\p{N}_.-]+/gu, '-').slice(0, BASE_MAX);
  // The cut may have gone through a surrogate pair.
  return cleaned.replace(/[\uD800-\uDBFF]$/, '').replace(/^-+|-+$/g, '') || 'user';
}

/** Creates a user under a wanted name or, if that is taken, that name with a suffix. */
export async function createWithFreeUsername(directory: Directory, user: NewUser, at: string): Promise<UserRecord> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const suffix = attempt === 1 ? '' : `-${attempt <= COUNTED ? attempt : randomInt(10_000, 1_000_000_000)}`;
    const outcome = await directory.createUser({ ...user, username: `${user.username}${suffix}` }, at);
    if (outcome.kind === 'created') return outcome.user;
    if (user.external !== undefined) {
      // Not the name: someone made this very account at the same moment.
      const same = await directory.userByExternal(user.external.issuer, user.external.subject);
      if (same !== null) return same;
    }
  }
  throw new ParleyError('conflict', `No username like ${user.username} is free`);
}
