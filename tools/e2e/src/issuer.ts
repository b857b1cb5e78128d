import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { exportJWK, generateKeyPair, SignJWT } from 'jose';

export const AUDIENCE = 'parley-e2e';

export interface Issuer {
  readonly url: string;
  sign(
    claims: object,
    change?: { audience?: string; expiresAt?: string; issuer?: string; forged?: boolean },
  ): Promise<string>;
  close(): Promise<void>;
}

/** An OpenID issuer with discovery and one key. */
export async function openIssuer(): Promise<Issuer> {
  const [{ publicKey, privateKey }, stranger] = await Promise.all([generateKeyPair('ES256'), generateKeyPair('ES256')]);
  const keys = [{ ...(await exportJWK(publicKey)), kid: 'outside', alg: 'ES256', use: 'sig' }];
  const server = createServer((request, response) => {
    const configuration = { issuer: url, jwks_uri: `${url}/keys` };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(request.url === '/keys' ? { keys } : configuration));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    sign: (claims, { audience = AUDIENCE, expiresAt = '1h', issuer = url, forged = false } = {}) =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'outside' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setExpirationTime(expiresAt)
        .sign(forged ? stranger.privateKey : privateKey),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
