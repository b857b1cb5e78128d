import { DisplayName, ParleyError, type UserId, WorkspaceId } from '@parley/contracts';
import type { Directory, UserRecord } from '@parley/directory';
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';

import { tokenRefusal } from './access-tokens.js';
import { createWithFreeUsername, usernameFrom } from './free-username.js';

/** Asymmetric ones only: with HS* a public key would do as the secret, and `none` is no signature. */
export const OUTSIDE_ALGORITHMS = [
  'EdDSA',
  'Ed25519',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const;

/** One issuer whose tokens are as good as ours. */
export const OutsideIssuer = z.strictObject({
  issuer: z.string().min(1),
  audience: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  /** Without it, the issuer's OpenID configuration names it. */
  jwksUri: z.url({ protocol: /^https?$/ }).optional(),
  workspaceId: WorkspaceId,
  usernameClaim: z.string().min(1).optional(),
  displayNameClaim: z.string().min(1).default('name'),
  algorithms: z
    .array(z.enum(OUTSIDE_ALGORITHMS))
    .min(1)
    .default([...OUTSIDE_ALGORITHMS]),
});
export type OutsideIssuer = z.infer<typeof OutsideIssuer>;

export interface OutsideIssuersOptions {
  readonly issuers: readonly OutsideIssuer[];
  readonly directory: Directory;
  readonly nowMs: () => number;
  readonly newId: () => string;
  /** For one request to an issuer. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5_000;
/** After a failed discovery the issuer is left alone for this long. */
const DISCOVERY_COOLDOWN_MS = 5_000;
const CLOCK_TOLERANCE_SECONDS = 5;
const SUBJECT_MAX = 255;

const Discovery = z.object({ issuer: z.string(), jwks_uri: z.url({ protocol: /^https?$/ }) });
const Claims = z.looseObject({ sub: z.string().min(1).max(SUBJECT_MAX), exp: z.number() });

interface KnownIssuer {
  readonly config: OutsideIssuer;
  keys: Promise<JWTVerifyGetKey> | null;
  retryAtMs: number;
}

/** Tokens of the deployment's own issuers; their users are made at first sight. */
export class OutsideIssuers {
  readonly #options: OutsideIssuersOptions;
  readonly #known = new Map<string, KnownIssuer>();

  constructor(options: OutsideIssuersOptions) {
    this.#options = options;
    for (const config of options.issuers) {
      if (this.#known.has(config.issuer)) throw new Error(`The issuer ${config.issuer} is configured twice`);
      this.#known.set(config.issuer, { config, keys: null, retryAtMs: 0 });
    }
  }

  knows(issuer: string): boolean {
    return this.#known.has(issuer);
  }

  /** Throws `unauthenticated`, `token_expired`, or `unavailable` when the issuer's keys cannot be fetched. */
  async authenticate(
    issuer: string,
    token: string,
  ): Promise<{ readonly user: UserRecord; readonly expiresAtMs: number }> {
    const known = this.#known.get(issuer);
    if (known === undefined) throw new ParleyError('unauthenticated', 'The access token is not valid');
    const keys = await this.#keysOf(known);
    const { sub, exp, ...claims } = await this.#verified(known.config, keys, token);
    const user =
      (await this.#options.directory.userByExternal(issuer, sub)) ?? (await this.#create(known.config, sub, claims));
    return { user, expiresAtMs: exp * 1_000 };
  }

  async #verified(config: OutsideIssuer, keys: JWTVerifyGetKey, token: string): Promise<z.output<typeof Claims>> {
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: config.issuer,
        audience: config.audience,
        algorithms: [...config.algorithms],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(this.#options.nowMs()),
      });
      return Claims.parse(payload);
    } catch (error) {
      throw keysAreAway(error)
        ? new ParleyError('unavailable', 'The issuer of the token does not answer')
        : tokenRefusal(error);
    }
  }

  async #keysOf(known: KnownIssuer): Promise<JWTVerifyGetKey> {
    if (known.keys === null) {
      if (this.#options.nowMs() < known.retryAtMs) {
        throw new ParleyError('unavailable', 'The issuer of the token did not answer', {
          retryAfterMs: DISCOVERY_COOLDOWN_MS,
        });
      }
      known.keys = this.#fetchKeys(known.config);
    }
    try {
      return await known.keys;
    } catch (error) {
      known.keys = null;
      known.retryAtMs = this.#options.nowMs() + DISCOVERY_COOLDOWN_MS;
      throw new ParleyError('unavailable', `The issuer of the token does not answer: ${reasonOf(error)}`);
    }
  }

  async #fetchKeys(config: OutsideIssuer): Promise<JWTVerifyGetKey> {
    const timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS;
    let { jwksUri } = config;
    if (jwksUri === undefined) {
      const url = `${config.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
      const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
      if (!response.ok) throw new Error(`${url} answered ${response.status}`);
      const discovered = Discovery.parse(await response.json());
      if (discovered.issuer !== config.issuer) throw new Error(`${url} speaks for ${discovered.issuer}`);
      jwksUri = discovered.jwks_uri;
    }
    // Fetches at first use, keeps the keys for ten minutes and looks again, at most each 30 s, for a key it does not know.
    return createRemoteJWKSet(new URL(jwksUri), { timeoutDuration: timeoutMs });
  }

  #create(config: OutsideIssuer, subject: string, claims: JWTPayload): Promise<UserRecord> {
    const { directory, nowMs, newId } = this.#options;
    const text = (claim: string | undefined): string | null => {
      const value = claim === undefined ? undefined : claims[claim];
      return typeof value === 'string' && value.trim() !== '' ? value : null;
    };
    const username = usernameFrom(text(config.usernameClaim) ?? text('preferred_username') ?? text('email') ?? subject);
    const displayName = DisplayName.safeParse(text(config.displayNameClaim));
    return createWithFreeUsername(
      directory,
      {
        workspaceId: config.workspaceId,
        id: newId() as UserId,
        username,
        displayName: displayName.success ? displayName.data : username,
        passwordHash: null,
        bot: false,
        external: { issuer: config.issuer, subject },
      },
      new Date(nowMs()).toISOString(),
    );
  }
}

/** jose says `ERR_JOSE_GENERIC` for an answer that is no key set, and lets `fetch` throw its TypeError. */
function keysAreAway(error: unknown): boolean {
  return (
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    error instanceof TypeError ||
    (error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC')
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
