import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { UserId } from '@parley/contracts';

import {
  ACCESS_TTL_MS,
  type AccountsFixture,
  ANN,
  openAccounts,
  REFRESH_TTL_MS,
  WORKSPACE,
} from './accounts-fixture.js';
import { ban, unban } from './bans.js';

let accounts: AccountsFixture;
beforeEach(async () => {
  accounts = await openAccounts();
});
afterEach(() => accounts.close());

const familyOf = async (accessToken: string) => (await accounts.accessTokens.verify(accessToken)).familyId;

describe('registering', () => {
  it('creates the account and signs in', async () => {
    const tokens = await accounts.signIn.register(WORKSPACE, { ...ANN, displayName: 'Ann A.' });
    expect(tokens.user).toEqual({ id: tokens.user.id, username: 'ann', displayName: 'Ann A.' });
    expect(tokens.expiresIn).toBe(ACCESS_TTL_MS / 1_000);
    expect(tokens.refreshToken).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await accounts.accessTokens.verify(tokens.accessToken)).toMatchObject({ userId: tokens.user.id });
  });

  it('takes the username for the display name when there is none', async () => {
    expect((await accounts.signIn.register(WORKSPACE, ANN)).user.displayName).toBe('ann');
  });

  it('refuses a username that is taken, in any case and at once', async () => {
    const settled = await Promise.allSettled([
      accounts.signIn.register(WORKSPACE, ANN),
      accounts.signIn.register(WORKSPACE, { ...ANN, username: 'ANN' }),
    ]);
    expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await expect(accounts.signIn.register(WORKSPACE, { ...ANN, username: 'Ann' })).rejects.toMatchObject({
      code: 'conflict',
    });
  });
});

describe('signing in', () => {
  it('needs the right password', async () => {
    const { user } = await accounts.signIn.register(WORKSPACE, ANN);
    expect((await accounts.signIn.login(WORKSPACE, { ...ANN, username: 'Ann' })).user).toEqual(user);
    await expect(accounts.signIn.login(WORKSPACE, { ...ANN, password: 'wrong' })).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });

  it('says the same of a wrong password and of an unknown name, and works as hard for both', async () => {
    await accounts.signIn.register(WORKSPACE, ANN);
    const refusal = (username: string) =>
      accounts.signIn.login(WORKSPACE, { username, password: 'wrong' }).then(
        () => 'signed in',
        (error: Error) => error.message,
      );
    const verify = jest.spyOn(accounts.passwords, 'verify');
    expect(await refusal('ann')).toBe(await refusal('nobody'));
    expect(verify.mock.calls).toEqual([
      [expect.stringMatching(/^\$argon2id/), 'wrong'],
      [null, 'wrong'],
    ]);
  });

  it('is refused to the banned, and permitted again when the ban is lifted', async () => {
    const { user } = await accounts.signIn.register(WORKSPACE, ANN);
    expect((await ban(accounts, WORKSPACE, user.id)).bannedAt).not.toBeNull();
    await expect(accounts.signIn.login(WORKSPACE, ANN)).rejects.toMatchObject({ code: 'forbidden' });
    expect(accounts.published).toEqual([
      { kind: 'session.ended', workspaceId: WORKSPACE, userId: user.id, familyId: null, code: 'forbidden' },
    ]);
    await unban(accounts, WORKSPACE, user.id);
    await expect(accounts.signIn.login(WORKSPACE, ANN)).resolves.toMatchObject({ user });
    await expect(ban(accounts, WORKSPACE, 'nobody' as UserId)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('refreshing', () => {
  it('exchanges the token for new ones of the same sign-in', async () => {
    const first = await accounts.signIn.register(WORKSPACE, ANN);
    accounts.advance(1_000);
    const second = await accounts.signIn.refresh(first.refreshToken);
    expect(second.user).toEqual(first.user);
    expect(second.refreshToken).not.toBe(first.refreshToken);
    expect(await familyOf(second.accessToken)).toBe(await familyOf(first.accessToken));
    await expect(accounts.signIn.refresh(second.refreshToken)).resolves.toMatchObject({ user: first.user });
    expect(accounts.published).toEqual([]);
  });

  it('ends the sign-in when a token is used twice, and says so', async () => {
    const first = await accounts.signIn.register(WORKSPACE, ANN);
    const second = await accounts.signIn.refresh(first.refreshToken);
    await expect(accounts.signIn.refresh(first.refreshToken)).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(accounts.published).toEqual([
      {
        kind: 'session.ended',
        workspaceId: WORKSPACE,
        userId: first.user.id,
        familyId: await familyOf(first.accessToken),
        code: 'unauthenticated',
      },
    ]);
    await expect(accounts.signIn.refresh(second.refreshToken)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('gives tokens to one of two who come at once with the same token', async () => {
    const { refreshToken } = await accounts.signIn.register(WORKSPACE, ANN);
    const settled = await Promise.allSettled([1, 2].map(() => accounts.signIn.refresh(refreshToken)));
    expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(accounts.published).toHaveLength(1);
  });

  it('is refused after the token has expired, after a ban, and for tokens that nobody was given', async () => {
    const { refreshToken } = await accounts.signIn.register(WORKSPACE, ANN);
    const bob = await accounts.signIn.register(WORKSPACE, { ...ANN, username: 'bob' });
    await ban(accounts, WORKSPACE, bob.user.id);
    accounts.advance(REFRESH_TTL_MS);
    for (const token of [refreshToken, bob.refreshToken, 'nonsense']) {
      await expect(accounts.signIn.refresh(token)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
  });
});

describe('signing out', () => {
  it('ends this sign-in and no other, and says so', async () => {
    const here = await accounts.signIn.register(WORKSPACE, ANN);
    const there = await accounts.signIn.login(WORKSPACE, ANN);
    const familyId = await familyOf(here.accessToken);
    await accounts.signIn.logout({ familyId });
    expect(accounts.published).toMatchObject([{ familyId, userId: here.user.id, code: 'unauthenticated' }]);
    await expect(accounts.signIn.refresh(here.refreshToken)).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(accounts.signIn.refresh(there.refreshToken)).resolves.toMatchObject({ user: here.user });
  });

  it('is not for callers who did not sign in here', async () => {
    await expect(accounts.signIn.logout({ familyId: null })).rejects.toMatchObject({ code: 'forbidden' });
  });
});
