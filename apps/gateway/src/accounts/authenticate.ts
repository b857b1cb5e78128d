import { isPassing, ParleyError, type UserId, type WorkspaceId } from '@parley/contracts';
import type { Directory, UserRecord } from '@parley/directory';
import { decodeJwt, errors } from 'jose';
import QuickLRU from 'quick-lru';

import type { AccessTokens } from './access-tokens.js';
import { ApiKeys } from './api-keys.js';
import type { Caller } from './caller.js';
import type { OutsideIssuers } from './outside-issuers.js';
import { assertNotBanned } from './sign-in.js';

export interface AuthenticatorOptions {
  readonly accessTokens: AccessTokens;
  readonly outsideIssuers: OutsideIssuers;
  readonly apiKeys: ApiKeys;
  readonly directory: Directory;
  readonly nowMs: () => number;
  /** How long a look in the directory is good for: with it, whatever ended is refused within 5 s even if no event says so. */
  readonly recheckMs?: number;
  /** Verified tokens kept (up to twice as many); a forgotten one is verified again. */
  readonly cacheMax?: number;
}

const RECHECK_MS = 3_000;
/**
 * While the directory cannot be read, what was last known holds for this long (section 10 of the design: sends go on).
 * Hardly anything can end meanwhile, because ends are written there; one that is announced is still heeded at once.
 */
const OUTAGE_GRACE_MS = 300_000;
const CACHE_MAX = 10_000;
const TOKEN_MAX_LENGTH = 8_192;

/** What a token says for good; whether it still holds is in the directory. */
type Verified =
  | {
      readonly kind: 'user';
      readonly workspaceId: WorkspaceId;
      readonly userId: UserId;
      readonly familyId: string;
      readonly expiresAtMs: number;
    }
  | {
      readonly kind: 'external';
      readonly workspaceId: WorkspaceId;
      readonly userId: UserId;
      readonly expiresAtMs: number;
    }
  | { readonly kind: 'apiKey' };

interface Known {
  readonly verified: Verified;
  readonly caller: Caller;
  readonly checkedAtMs: number;
  /** `#invalidations` when the check began. */
  readonly asOf: number;
}

/** From the Authorization header to the caller. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #recheckMs: number;
  readonly #known: QuickLRU<string, Known>;
  /** Checks under way, by token: requests that come together share one. */
  readonly #checking = new Map<string, Promise<Known>>();
  /** By user, the count at which everything known of them became doubtful. What is forgotten here is rechecked anyway. */
  readonly #doubtful: QuickLRU<UserId, number>;
  #invalidations = 0;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#recheckMs = options.recheckMs ?? RECHECK_MS;
    this.#known = new QuickLRU({ maxSize: options.cacheMax ?? CACHE_MAX });
    this.#doubtful = new QuickLRU({ maxSize: options.cacheMax ?? CACHE_MAX });
  }

  /** Throws `unauthenticated`, `token_expired`, or `forbidden` for whoever is banned. */
  async authenticate(authorization: string | undefined): Promise<Caller> {
    const token = bearerToken(authorization);
    const known = this.#known.get(token);
    if (known !== undefined) {
      const { expiresAtMs } = known.caller;
      if (expiresAtMs !== null && this.#options.nowMs() >= expiresAtMs) {
        this.#known.delete(token);
        throw new ParleyError('token_expired', 'The access token has expired');
      }
      if (this.#holds(known, this.#recheckMs)) return known.caller;
    }
    try {
      return (await this.#checked(token, known?.verified)).caller;
    } catch (error) {
      if (known !== undefined && isPassing(error) && this.#holds(known, OUTAGE_GRACE_MS)) return known.caller;
      throw error;
    }
  }

  /** Something of this user ended: the next request of theirs is looked up, whatever was known. */
  invalidate(userId: UserId): void {
    this.#invalidations += 1;
    this.#doubtful.set(userId, this.#invalidations);
  }

  /** Nothing of the user has ended since the last look in the directory, and that was not long ago. */
  #holds({ caller, checkedAtMs, asOf }: Known, forMs: number): boolean {
    return this.#options.nowMs() - checkedAtMs < forMs && (this.#doubtful.get(caller.userId) ?? 0) <= asOf;
  }

  async #checked(token: string, verified: Verified | undefined): Promise<Known> {
    const underWay = this.#checking.get(token);
    if (underWay !== undefined) {
      const known = await underWay;
      // It may have read the directory before what has ended since.
      if (this.#holds(known, this.#recheckMs)) return known;
    }
    const check = this.#check(token, verified);
    this.#checking.set(token, check);
    try {
      const known = await check;
      this.#known.set(token, known);
      return known;
    } catch (error) {
      if (!isPassing(error)) this.#known.delete(token);
      throw error;
    } finally {
      if (this.#checking.get(token) === check) this.#checking.delete(token);
    }
  }

  async #check(token: string, before: Verified | undefined): Promise<Known> {
    const checkedAtMs = this.#options.nowMs();
    const asOf = this.#invalidations;
    const verified = before ?? (await this.#verify(token));
    return { verified, caller: await this.#callerOf(token, verified), checkedAtMs, asOf };
  }

  async #verify(token: string): Promise<Verified> {
    const { accessTokens, outsideIssuers } = this.#options;
    if (ApiKeys.looksLikeKey(token)) return { kind: 'apiKey' };
    const issuer = issuerOf(token);
    if (issuer !== accessTokens.issuer && outsideIssuers.knows(issuer)) {
      const { user, expiresAtMs } = await outsideIssuers.authenticate(issuer, token);
      return { kind: 'external', workspaceId: user.workspaceId, userId: user.id, expiresAtMs };
    }
    return { kind: 'user', ...(await accessTokens.verify(token)) };
  }

  async #callerOf(token: string, verified: Verified): Promise<Caller> {
    const { directory, apiKeys } = this.#options;
    switch (verified.kind) {
      case 'user': {
        const [user, live] = await Promise.all([this.#user(verified), directory.liveFamilies([verified.familyId])]);
        if (!live.has(verified.familyId)) throw new ParleyError('unauthenticated', 'The sign-in has ended');
        return { ...verified, admin: user.admin, scopes: null };
      }
      case 'external':
        return { ...verified, admin: (await this.#user(verified)).admin, scopes: null, familyId: null };
      case 'apiKey': {
        const found = await apiKeys.authenticate(token);
        if (found === null) throw new ParleyError('unauthenticated', 'The API key is not valid');
        const { key, user } = found;
        assertNotBanned(user);
        return {
          kind: 'apiKey',
          workspaceId: user.workspaceId,
          userId: user.id,
          admin: key.scopes.includes('admin'),
          scopes: key.scopes,
          familyId: null,
          expiresAtMs: null,
        };
      }
    }
  }

  /** Throws `forbidden` for the banned before anything says that their sign-in, too, has ended. */
  async #user({ workspaceId, userId }: { workspaceId: WorkspaceId; userId: UserId }): Promise<UserRecord> {
    const user = (await this.#options.directory.users(workspaceId, [userId])).get(userId);
    if (user === undefined) throw new ParleyError('unauthenticated', 'The account is gone');
    assertNotBanned(user);
    return user;
  }
}

function bearerToken(authorization: string | undefined): string {
  const [, token] = /^Bearer +([^\s]+) *$/i.exec(authorization ?? '') ?? [];
  if (token === undefined) throw new ParleyError('unauthenticated', 'A bearer token is required');
  if (token.length > TOKEN_MAX_LENGTH) throw new ParleyError('unauthenticated', 'The access token is not valid');
  return token;
}

/** Who claims to have issued it: only decides whose keys must verify it. */
function issuerOf(token: string): string {
  try {
    return decodeJwt(token).iss ?? '';
  } catch (error) {
    if (error instanceof errors.JOSEError) throw new ParleyError('unauthenticated', 'The access token is not valid');
    throw error;
  }
}
