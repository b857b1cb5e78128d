import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

import { type AccountsFixture, openAccounts, WORKSPACE } from './accounts-fixture.js';
import { OutsideIssuer, OutsideIssuers } from './outside-issuers.js';

const AUDIENCE = 'parley';

/** An issuer on this machine: OpenID configuration, keys, and tokens signed with them. */
async function startIssuer() {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
  let answering = true;
  let fetched = 0;
  const server: Server = createServer((request, response) => {
    if (!answering) return void response.writeHead(503).end();
    if (request.url === '/jwks') {
      fetched += 1;
      return void response.end(JSON.stringify({ keys: [jwk] }));
    }
    if (request.url === '/.well-known/openid-configuration') {
      return void response.end(JSON.stringify({ issuer: url(), jwks_uri: `${url()}/jwks` }));
    }
    response.writeHead(404).end();
  });
  const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url,
    privateKey,
    publicKey,
    fetched: () => fetched,
    answer: (yes: boolean) => {
      answering = yes;
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('tokens of an outside issuer', () => {
  let accounts: AccountsFixture;
  let issuer: Awaited<ReturnType<typeof startIssuer>>;
  beforeAll(async () => {
    [accounts, issuer] = await Promise.all([openAccounts(), startIssuer()]);
  });
  afterAll(async () => {
    await Promise.all([accounts.close(), issuer.close()]);
  });

  const issuers = (change: Partial<OutsideIssuer> = {}) =>
    new OutsideIssuers({
      issuers: [OutsideIssuer.parse({ issuer: issuer.url(), audience: AUDIENCE, workspaceId: WORKSPACE, ...change })],
      directory: accounts.directory,
      nowMs: accounts.nowMs,
      newId: accounts.newId,
      timeoutMs: 2_000,
    });
  const unsigned = (claims: JWTPayload) =>
    new SignJWT({ iss: issuer.url(), aud: AUDIENCE, exp: accounts.nowMs() / 1_000 + 60, ...claims });
  const token = (claims: JWTPayload) =>
    unsigned(claims).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(issuer.privateKey);

  it('make the user at first sight, and are that user from then on', async () => {
    const outside = issuers();
    const signed = await token({ sub: 's1', preferred_username: 'zoe', name: 'Zoë', email: 'z@example.com' });
    const first = await outside.authenticate(issuer.url(), signed);
    expect(first.user).toMatchObject({ username: 'zoe', displayName: 'Zoë', workspaceId: WORKSPACE, bannedAt: null });
    expect(first.expiresAtMs).toBe(accounts.nowMs() + 60_000);
    const again = await outside.authenticate(issuer.url(), await token({ sub: 's1', preferred_username: 'renamed' }));
    expect(again.user).toEqual(first.user);
  });

  it('name the user by preferred username, else email, else subject, or as configured', async () => {
    const nameOf = async (claims: JWTPayload, change: Partial<OutsideIssuer> = {}) =>
      (await issuers(change).authenticate(issuer.url(), await token(claims))).user.username;
    expect(await nameOf({ sub: 'n1', email: 'mia@example.com' })).toBe('mia');
    expect(await nameOf({ sub: 'n2-subject' })).toBe('n2-subject');
    expect(await nameOf({ sub: 'n3', login: 'leo', email: 'x@example.com' }, { usernameClaim: 'login' })).toBe('leo');
  });

  it('give a suffix to a username that someone else has', async () => {
    const outside = issuers();
    const names: string[] = [];
    for (const sub of ['t1', 't2', 't3', 't4', 't5', 't6', 't7']) {
      const { user } = await outside.authenticate(issuer.url(), await token({ sub, preferred_username: 'sam' }));
      names.push(user.username);
    }
    expect(names.slice(0, 5)).toEqual(['sam', 'sam-2', 'sam-3', 'sam-4', 'sam-5']);
    expect(names[5]).toMatch(/^sam-\d{5,9}$/);
    expect(new Set(names).size).toBe(7);
  });

  it('make one user of requests that come at once', async () => {
    const outside = issuers();
    const signed = await token({ sub: 'c1', preferred_username: 'cleo' });
    const found = await Promise.all(Array.from({ length: 8 }, () => outside.authenticate(issuer.url(), signed)));
    expect(new Set(found.map(({ user }) => user.id)).size).toBe(1);
  });

  it('need a fetch of the keys only once', async () => {
    const outside = issuers({ jwksUri: `${issuer.url()}/jwks` });
    const before = issuer.fetched();
    for (const sub of ['f1', 'f1', 'f1']) await outside.authenticate(issuer.url(), await token({ sub }));
    expect(issuer.fetched()).toBe(before + 1);
  });

  it('are refused when expired', async () => {
    const late = token({ sub: 'e1', exp: accounts.nowMs() / 1_000 - 60 });
    await expect(issuers().authenticate(issuer.url(), await late)).rejects.toMatchObject({ code: 'token_expired' });
  });

  it('are refused when they are for others, forged, unsigned, or signed with the public key as a secret', async () => {
    const stranger = await generateKeyPair('ES256');
    const publicBytes = new TextEncoder().encode(JSON.stringify(await exportJWK(issuer.publicKey)));
    const [, payload] = (await token({ sub: 'x' })).split('.');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    const outside = issuers();
    for (const bad of [
      await token({ sub: 'x', aud: 'other' }),
      await token({ sub: 'x', iss: 'https://other.example' }),
      await token({}),
      await unsigned({ sub: 'x' }).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(stranger.privateKey),
      await unsigned({ sub: 'x' }).setProtectedHeader({ alg: 'ES256', kid: 'k2' }).sign(stranger.privateKey),
      await unsigned({ sub: 'x' }).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(publicBytes),
      `${none}.${payload}.`,
      'nonsense',
    ]) {
      await expect(outside.authenticate(issuer.url(), bad)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
    await expect(outside.authenticate('https://other.example', 'x')).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(
      issuers({ algorithms: ['RS256'] }).authenticate(issuer.url(), await token({ sub: 'x' })),
    ).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('are `unavailable` while the issuer is away, and good when it is back', async () => {
    const signed = await token({ sub: 'a1' });
    const byDiscovery = issuers();
    const byUri = issuers({ jwksUri: `${issuer.url()}/jwks` });
    issuer.answer(false);
    await expect(byDiscovery.authenticate(issuer.url(), signed)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(byUri.authenticate(issuer.url(), signed)).rejects.toMatchObject({ code: 'unavailable' });
    issuer.answer(true);
    await expect(byDiscovery.authenticate(issuer.url(), signed)).rejects.toMatchObject({ code: 'unavailable' });
    accounts.advance(5_000);
    await expect(byDiscovery.authenticate(issuer.url(), signed)).resolves.toMatchObject({ user: { username: 'a1' } });
    await expect(byUri.authenticate(issuer.url(), signed)).resolves.toMatchObject({ user: { username: 'a1' } });
  });

  it('cannot be of two configurations, or of symmetric algorithms', () => {
    const config = { issuer: 'https://i.example', audience: AUDIENCE, workspaceId: WORKSPACE };
    const both = [OutsideIssuer.parse(config), OutsideIssuer.parse(config)];
    const { directory, nowMs, newId } = accounts;
    expect(() => new OutsideIssuers({ issuers: both, directory, nowMs, newId })).toThrow(/configured twice/);
    for (const algorithm of ['HS256', 'none']) {
      expect(OutsideIssuer.safeParse({ ...config, algorithms: [algorithm] }).success).toBe(false);
    }
  });
});
