import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type ParleyError, ParleyError as Refused, type Tokens } from '@parley/contracts';
import type { Directory } from '@parley/directory';
import { SignJWT } from 'jose';

import { ACCESS_TTL_MS, type AccountsFixture, ANN, openAccounts, WORKSPACE } from './accounts-fixture.js';
import { ApiKeys } from './api-keys.js';
import { Authenticator } from './authenticate.js';
import { ban } from './bans.js';
import { OutsideIssuers } from './outside-issuers.js';

let accounts: AccountsFixture;
let ann: Tokens;
/** Reads of users and API keys, which every look in the directory needs. */
let looks: number;
let away: boolean;
let authenticator: Authenticator;

/** The real directory, whose reads are counted and can be cut off. */
function watched(directory: Directory): Directory {
  const look = async <T>(read: () => Promise<T>): Promise<T> => {
    looks += 1;
    if (away) throw new Refused('unavailable', 'away');
    return read();
  };
  return {
    ...directory,
    users: (workspaceId, ids) => look(() => directory.users(workspaceId, ids)),
    apiKeyByHash: (hash) => look(() => directory.apiKeyByHash(hash)),
  };
}

beforeEach(async () => {
  accounts = await openAccounts();
  ann = await accounts.signIn.register(WORKSPACE, ANN);
  [looks, away] = [0, false];
  const { accessTokens, publish, nowMs, newId } = accounts;
  const directory = watched(accounts.directory);
  authenticator = new Authenticator({
    accessTokens,
    outsideIssuers: new OutsideIssuers({ issuers: [], directory, nowMs, newId }),
    apiKeys: new ApiKeys({ directory, publish, nowMs, newId }),
    directory,
    nowMs,
    cacheMax: 100,
  });
});
afterEach(() => accounts.close());

const outcome = (token: string): Promise<string> =>
  authenticator.authenticate(`Bearer ${token}`).then(
    () => 'accepted',
    (error: ParleyError) => error.code,
  );
const familyOf = async (tokens: Tokens) => (await accounts.accessTokens.verify(tokens.accessToken)).familyId;

describe('the Authorization header', () => {
  it('names the caller', async () => {
    const caller = await authenticator.authenticate(`Bearer ${ann.accessToken}`);
    expect(caller).toEqual({
      kind: 'user',
      workspaceId: WORKSPACE,
      userId: ann.user.id,
      admin: true,
      scopes: null,
      familyId: await familyOf(ann),
      expiresAtMs: accounts.nowMs() + ACCESS_TTL_MS,
    });
    expect(await authenticator.authenticate(`bearer ${ann.accessToken}`)).toBe(caller);
  });

  it('may carry an API key', async () => {
    const { key, userId } = await accounts.apiKeys.create(WORKSPACE, { name: 'Bot', scopes: ['admin', 'users:read'] });
    expect(await authenticator.authenticate(`Bearer ${key}`)).toEqual({
      kind: 'apiKey',
      workspaceId: WORKSPACE,
      userId,
      admin: true,
      scopes: ['admin', 'users:read'],
      familyId: null,
      expiresAtMs: null,
    });
  });

  it('is refused without a token that we know', async () => {
    const foreign = await new SignJWT({ iss: 'https://unknown.example' })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new Uint8Array(32));
    for (const header of [
      undefined,
      '',
      'Bearer',
      `Basic ${ann.accessToken}`,
      `Bearer ${ann.accessToken} more`,
      `Bearer ${ann.accessToken.slice(0, -5)}`,
      `Bearer ${foreign}`,
      `Bearer parley_0123456789abcdef_${'x'.repeat(43)}`,
      `Bearer ${'x'.repeat(10_000)}`,
      'Bearer nonsense',
    ]) {
      await expect(authenticator.authenticate(header)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
  });
});

describe('a token that was accepted', () => {
  it('is neither verified nor looked up again within three seconds', async () => {
    const verify = jest.spyOn(accounts.accessTokens, 'verify');
    await Promise.all([1, 2, 3].map(() => outcome(ann.accessToken)));
    accounts.advance(2_999);
    expect(await outcome(ann.accessToken)).toBe('accepted');
    expect(looks).toBe(1);
    accounts.advance(1);
    expect(await outcome(ann.accessToken)).toBe('accepted');
    expect(looks).toBe(2);
    expect(verify).toHaveBeenCalledTimes(1);
  });

  it('expires while it is remembered', async () => {
    await outcome(ann.accessToken);
    accounts.advance(ACCESS_TTL_MS);
    expect(await outcome(ann.accessToken)).toBe('token_expired');
    expect(await outcome(ann.accessToken)).toBe('token_expired');
  });

  it('is refused within five seconds after a logout that nobody announced, and at once when it was', async () => {
    const other = await accounts.signIn.login(WORKSPACE, ANN);
    expect([await outcome(ann.accessToken), await outcome(other.accessToken)]).toEqual(['accepted', 'accepted']);
    await accounts.signIn.logout({ familyId: await familyOf(ann) });
    accounts.advance(3_000);
    expect([await outcome(ann.accessToken), await outcome(other.accessToken)]).toEqual(['unauthenticated', 'accepted']);

    await accounts.signIn.logout({ familyId: await familyOf(other) });
    authenticator.invalidate(other.user.id);
    expect(await outcome(other.accessToken)).toBe('unauthenticated');
  });

  it('is refused after a ban', async () => {
    expect(await outcome(ann.accessToken)).toBe('accepted');
    await ban(accounts, WORKSPACE, ann.user.id);
    accounts.advance(3_000);
    expect(await outcome(ann.accessToken)).toBe('forbidden');
  });

  it('is refused after its API key was revoked', async () => {
    const { key, id, userId } = await accounts.apiKeys.create(WORKSPACE, { name: 'Bot', scopes: [] });
    expect(await outcome(key)).toBe('accepted');
    await accounts.apiKeys.revoke(WORKSPACE, id);
    authenticator.invalidate(userId);
    expect(await outcome(key)).toBe('unauthenticated');
  });

  it('is looked up again when something ended while it was being looked up', async () => {
    const first = outcome(ann.accessToken);
    authenticator.invalidate(ann.user.id);
    await accounts.signIn.logout({ familyId: await familyOf(ann) });
    await first;
    expect(await outcome(ann.accessToken)).toBe('unauthenticated');
  });

  it('goes on while the directory is away, unless something of its user is known to have ended', async () => {
    expect(await outcome(ann.accessToken)).toBe('accepted');
    away = true;
    accounts.advance(60_000);
    expect(await outcome(ann.accessToken)).toBe('accepted');
    authenticator.invalidate(ann.user.id);
    expect(await outcome(ann.accessToken)).toBe('unavailable');
    away = false;
    expect(await outcome(ann.accessToken)).toBe('accepted');
    away = true;
    accounts.advance(300_000);
    expect(await outcome(ann.accessToken)).toBe('unavailable');
  });
});
