import { generateKeyPairSync } from 'node:crypto';

import { ParleyError, UserId, WorkspaceId } from '@parley/contracts';
import type { Directory } from '@parley/directory';
import { calculateJwkThumbprint, type CryptoKey, errors, importJWK, type JWK, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';

const ALGORITHM = 'EdDSA';
/** RFC 9068: an access token, not an id token that happens to be signed with the same key. */
const TYPE = 'at+jwt';

export interface AccessGrant {
  readonly userId: UserId;
  readonly workspaceId: WorkspaceId;
  readonly familyId: string;
}

export interface AccessTokensOptions {
  readonly directory: Pick<Directory, 'secret'>;
  readonly issuer: string;
  readonly audience: string;
  readonly ttlMs: number;
  readonly nowMs: () => number;
  readonly newId: () => string;
}

const Claims = z.object({ sub: UserId, wid: WorkspaceId, sid: z.string().min(1), exp: z.number() });
const StoredKey = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), d: z.string() });

/** Access tokens of our own: signed with a key pair of the installation, so that anyone can verify them by the JWKS. */
export class AccessTokens {
  readonly issuer: string;
  readonly #options: AccessTokensOptions;
  readonly #keys: { readonly signing: CryptoKey; readonly verifying: CryptoKey; readonly published: JWK };

  private constructor(
    options: AccessTokensOptions,
    keys: { signing: CryptoKey; verifying: CryptoKey; published: JWK },
  ) {
    this.issuer = options.issuer;
    this.#options = options;
    this.#keys = keys;
  }

  static async open(options: AccessTokensOptions): Promise<AccessTokens> {
    const stored = StoredKey.parse(JSON.parse(await options.directory.secret('access-token-key', newKey)));
    const { d: _private, ...publicPart } = stored;
    const kid = await calculateJwkThumbprint(publicPart);
    return new AccessTokens(options, {
      signing: await asKey(stored),
      verifying: await asKey(publicPart),
      published: { ...publicPart, kid, alg: ALGORITHM, use: 'sig' },
    });
  }

  /** RFC 7517. */
  jwks(): { readonly keys: Record<string, unknown>[] } {
    return { keys: [{ ...this.#keys.published }] };
  }

  async issue(grant: AccessGrant): Promise<{ readonly accessToken: string; readonly expiresIn: number }> {
    const { issuer, audience, ttlMs, nowMs, newId } = this.#options;
    const issuedAt = Math.floor(nowMs() / 1_000);
    const expiresIn = Math.floor(ttlMs / 1_000);
    const accessToken = await new SignJWT({ wid: grant.workspaceId, sid: grant.familyId })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: this.#keys.published.kid ?? '' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(grant.userId)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + expiresIn)
      .setJti(newId())
      .sign(this.#keys.signing);
    return { accessToken, expiresIn };
  }

  /** Throws `unauthenticated`, or `token_expired` for what was once good. */
  async verify(token: string): Promise<AccessGrant & { readonly expiresAtMs: number }> {
    const { issuer, audience, nowMs } = this.#options;
    try {
      const { payload } = await jwtVerify(token, this.#keys.verifying, {
        issuer,
        audience,
        algorithms: [ALGORITHM],
        typ: TYPE,
        currentDate: new Date(nowMs()),
      });
      const { sub, wid, sid, exp } = Claims.parse(payload);
      return { userId: sub, workspaceId: wid, familyId: sid, expiresAtMs: exp * 1_000 };
    } catch (error) {
      throw tokenRefusal(error);
    }
  }
}

/** What is wrong with a token, in terms of our table; anything else is thrown as it is. */
export function tokenRefusal(error: unknown): Error {
  if (error instanceof errors.JWTExpired) return new ParleyError('token_expired', 'The access token has expired');
  if (error instanceof errors.JOSEError || error instanceof z.ZodError) {
    return new ParleyError('unauthenticated', 'The access token is not valid');
  }
  return error instanceof Error ? error : new Error(String(error));
}

function newKey(): string {
  return JSON.stringify(generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }));
}

async function asKey(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, ALGORITHM);
  if (key instanceof Uint8Array) throw new Error('The access token key is not a key pair');
  return key;
}
