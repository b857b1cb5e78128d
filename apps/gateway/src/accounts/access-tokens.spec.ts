import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { UserId, WorkspaceId } from '@parley/contracts';
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  decodeProtectedHeader,
  generateKeyPair,
  jwtVerify,
  SignJWT,
} from 'jose';

import { AccessTokens } from './access-tokens.js';
import { ACCESS_TTL_MS, type AccountsFixture, openAccounts } from './accounts-fixture.js';

const grant = { userId: 'u' as UserId, workspaceId: 'w' as WorkspaceId, familyId: 'f' };

describe('access tokens', () => {
  let accounts: AccountsFixture;
  beforeAll(async () => {
    accounts = await openAccounts();
  });
  afterAll(() => accounts.close());

  const another = (change: { issuer?: string; audience?: string }) =>
    AccessTokens.open({
      directory: accounts.directory,
      issuer: 'https://parley.example',
      audience: 'parley',
      ttlMs: ACCESS_TTL_MS,
      nowMs: accounts.nowMs,
      newId: accounts.newId,
      ...change,
    });

  it('say who signed in, how, and until when', async () => {
    const { accessToken, expiresIn } = await accounts.accessTokens.issue(grant);
    expect(expiresIn).toBe(900);
    expect(await accounts.accessTokens.verify(accessToken)).toEqual({
      ...grant,
      expiresAtMs: accounts.nowMs() + ACCESS_TTL_MS,
    });
  });

  it('can be verified by anyone with the published keys', async () => {
    const { accessToken } = await accounts.accessTokens.issue(grant);
    const jwks = accounts.accessTokens.jwks();
    const [key] = jwks.keys;
    expect(key).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' });
    expect(key).not.toHaveProperty('d');
    expect(decodeProtectedHeader(accessToken)).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: key?.['kid'] });
    expect(await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x: String(key?.['x']) })).toBe(key?.['kid']);
    const { payload } = await jwtVerify(accessToken, createLocalJWKSet({ keys: [{ kty: 'OKP', ...key }] }), {
      currentDate: new Date(accounts.nowMs()),
    });
    expect(payload).toMatchObject({ sub: 'u', wid: 'w', sid: 'f', iss: 'https://parley.example', aud: 'parley' });
    expect(payload.jti).toEqual(expect.any(String));
  });

  it('are good for every gateway of the installation, and after a restart', async () => {
    const { accessToken } = await accounts.accessTokens.issue(grant);
    await expect((await another({})).verify(accessToken)).resolves.toMatchObject(grant);
  });

  it('expire', async () => {
    const { accessToken } = await accounts.accessTokens.issue(grant);
    accounts.advance(ACCESS_TTL_MS - 1);
    await expect(accounts.accessTokens.verify(accessToken)).resolves.toMatchObject(grant);
    accounts.advance(1);
    await expect(accounts.accessTokens.verify(accessToken)).rejects.toMatchObject({ code: 'token_expired' });
  });

  it('are refused when they are for another audience or issuer, forged, or no access tokens', async () => {
    const { privateKey } = await generateKeyPair('EdDSA');
    const claims = () =>
      new SignJWT({ wid: 'w', sid: 'f' })
        .setSubject('u')
        .setIssuer('https://parley.example')
        .setAudience('parley')
        .setExpirationTime(accounts.nowMs() / 1_000 + 60);
    const header = { alg: 'EdDSA', typ: 'at+jwt' };
    const [unsigned, payload] = (await accounts.accessTokens.issue(grant)).accessToken.split('.');
    const none = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url');
    const publicKeyAsSecret = Buffer.from(String(accounts.accessTokens.jwks().keys[0]?.['x']), 'base64url');
    for (const token of [
      (await (await another({ audience: 'other' })).issue(grant)).accessToken,
      (await (await another({ issuer: 'https://other.example' })).issue(grant)).accessToken,
      await claims().setProtectedHeader(header).sign(privateKey),
      await claims().setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' }).sign(publicKeyAsSecret),
      `${none}.${payload}.`,
      `${unsigned}.${payload}.`,
      'nonsense',
    ]) {
      await expect(accounts.accessTokens.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
  });
});
