import {
  type DirectoryRecord,
  ParleyError,
  type Tokens,
  type User,
  type UserId,
  type WorkspaceId,
} from '@parley/contracts';
import type { Directory, TokenFamily, UserRecord } from '@parley/directory';

import type { AccessTokens } from './access-tokens.js';
import type { Passwords } from './passwords.js';
import { newRefreshToken, secretHash } from './refresh-tokens.js';

export type SessionEnded = Extract<DirectoryRecord, { readonly kind: 'session.ended' }>;

export interface SignInOptions {
  readonly directory: Directory;
  readonly passwords: Passwords;
  readonly accessTokens: AccessTokens;
  /** Resolves when the record is safe; whoever holds sessions of the sign-in ends them. */
  readonly publish: (record: SessionEnded) => Promise<void>;
  readonly refreshTtlMs: number;
  readonly nowMs: () => number;
  readonly newId: () => string;
}

/** Accounts with a password: registering, signing in, staying signed in and signing out. */
export class SignIn {
  readonly #options: SignInOptions;

  constructor(options: SignInOptions) {
    this.#options = options;
  }

  async register(
    workspaceId: WorkspaceId,
    wanted: { readonly username: string; readonly password: string; readonly displayName?: string | undefined },
  ): Promise<Tokens> {
    const { directory, passwords, newId } = this.#options;
    // Before the hash, which costs a thousand times more than the look; after it someone else may have the name.
    if ((await directory.userByUsername(workspaceId, wanted.username)) !== null) throw usernameTaken();
    const { kind, user } = await directory.createUser(
      {
        workspaceId,
        id: newId() as UserId,
        username: wanted.username,
        displayName: wanted.displayName ?? wanted.username,
        passwordHash: await passwords.hash(wanted.password),
        bot: false,
      },
      this.#at(),
    );
    if (kind === 'conflict') throw usernameTaken();
    return this.#signIn(user);
  }

  async login(
    workspaceId: WorkspaceId,
    given: { readonly username: string; readonly password: string },
  ): Promise<Tokens> {
    const { directory, passwords } = this.#options;
    const found = await directory.userByUsername(workspaceId, given.username);
    // Always a hash's worth of time, so that nobody learns from it which names exist.
    const matches = await passwords.verify(found?.passwordHash ?? null, given.password);
    if (found === null || !matches) {
      throw new ParleyError('unauthenticated', 'The username or the password is wrong');
    }
    assertNotBanned(found.user);
    return this.#signIn(found.user);
  }

  async refresh(refreshToken: string): Promise<Tokens> {
    const { directory, accessTokens, refreshTtlMs, nowMs } = this.#options;
    const next = newRefreshToken();
    const outcome = await directory.rotateToken(
      secretHash(refreshToken),
      next.hash,
      this.#at(),
      new Date(nowMs() + refreshTtlMs).toISOString(),
    );
    switch (outcome.kind) {
      case 'rotated': {
        const { family } = outcome;
        const user = (await directory.users(family.workspaceId, [family.userId])).get(family.userId);
        if (user === undefined) throw new ParleyError('unauthenticated', 'The account is gone');
        assertNotBanned(user);
        const { id: familyId, userId, workspaceId } = family;
        const access = await accessTokens.issue({ userId, workspaceId, familyId });
        return { user: publicUser(user), ...access, refreshToken: next.secret };
      }
      case 'reused':
        await this.#publishEnd(outcome.family);
        throw new ParleyError('unauthenticated', 'The refresh token was used before; its sign-in has ended');
      case 'expired':
      case 'unknown':
        throw new ParleyError('unauthenticated', 'The refresh token is not valid any more');
    }
  }

  /** Ends one sign-in. Repeating it is harmless, and says again that it has ended. */
  async logout(caller: { readonly familyId: string | null }): Promise<void> {
    if (caller.familyId === null) {
      throw new ParleyError('forbidden', 'Only a sign-in by password can be ended here');
    }
    const family = await this.#options.directory.endFamily(caller.familyId, this.#at());
    if (family !== null) await this.#publishEnd(family);
  }

  async #signIn(user: UserRecord): Promise<Tokens> {
    const { directory, accessTokens, refreshTtlMs, nowMs, newId } = this.#options;
    const { id: userId, workspaceId } = user;
    const familyId = newId();
    const refresh = newRefreshToken();
    await directory.createFamily(
      { id: familyId, userId, workspaceId },
      refresh.hash,
      this.#at(),
      new Date(nowMs() + refreshTtlMs).toISOString(),
    );
    const access = await accessTokens.issue({ userId, workspaceId, familyId });
    return { user: publicUser(user), ...access, refreshToken: refresh.secret };
  }

  #publishEnd({ id, userId, workspaceId }: TokenFamily): Promise<void> {
    return this.#options.publish({
      kind: 'session.ended',
      workspaceId,
      userId,
      familyId: id,
      code: 'unauthenticated',
    });
  }

  #at(): string {
    return new Date(this.#options.nowMs()).toISOString();
  }
}

/** What others may see of a user. */
export function publicUser({ id, username, displayName, avatarUrl, bot }: UserRecord): User {
  return {
    id,
    username,
    displayName,
    ...(avatarUrl === undefined ? {} : { avatarUrl }),
    ...(bot === undefined ? {} : { bot }),
  };
}

export function assertNotBanned(user: UserRecord): void {
  if (user.bannedAt !== null) throw new ParleyError('forbidden', 'The account is banned');
}

function usernameTaken(): ParleyError {
  return new ParleyError('conflict', 'The username is taken', {
    issues: [{ path: 'username', message: 'taken' }],
  });
}
