import { ParleyError, type Route, type RouteName } from '@parley/contracts';
import type { BucketSpec, RateLimiter, Taken } from '@parley/rate-limiter';

import type { Authenticator } from './accounts/authenticate.js';
import { type Caller, requireScope } from './accounts/caller.js';
import type { GatewayConfig } from './config.js';
import type { OpenContext } from './http-api.js';

const SIGN_IN_ROUTES: ReadonlySet<RouteName> = new Set(['register', 'login', 'refresh']);
const SEND_ROUTES: ReadonlySet<RouteName> = new Set([
  'send',
  'editMessage',
  'deleteMessage',
  'addReaction',
  'removeReaction',
]);
const FAILED_SIGN_IN_PER_SECOND = 1 / 60;

/** Who may come in, and how often: token buckets by address before anything is known, by user after. */
export class Admission {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly limiter: RateLimiter,
    private readonly config: GatewayConfig,
  ) {}

  /** The caller, or null where the route is open to everyone. */
  async admit(
    name: RouteName,
    route: Route,
    authorization: string | undefined,
    { address }: Pick<OpenContext, 'address'>,
  ): Promise<Caller | null> {
    const { config } = this;
    if (route.auth === 'none') {
      if (SIGN_IN_ROUTES.has(name)) {
        this.#take(`sign-in:${address}`, {
          perSecond: config.PARLEY_SIGN_INS_PER_SECOND,
          burst: config.PARLEY_SIGN_INS_BURST,
        });
      }
      return null;
    }
    const caller = await this.#authenticate(authorization, address);
    this.#takeRequest(caller);
    if (SEND_ROUTES.has(name)) {
      this.#take(`send:${caller.userId}`, {
        perSecond: config.PARLEY_SENDS_PER_SECOND,
        burst: config.PARLEY_SENDS_BURST,
      });
    }
    if (route.auth !== 'self') requireScope(caller, route.auth);
    return caller;
  }

  /** Event streams and polls are requests like any other. */
  async admitStream(authorization: string | undefined, address: string): Promise<Caller> {
    const caller = await this.#authenticate(authorization, address);
    this.#takeRequest(caller);
    requireScope(caller, 'messages:read');
    return caller;
  }

  #takeRequest({ userId }: Caller): void {
    const { PARLEY_REQUESTS_PER_SECOND: perSecond, PARLEY_REQUESTS_BURST: burst } = this.config;
    this.#take(`request:${userId}`, { perSecond, burst });
  }

  /** Failed attempts cost the address, so that tokens cannot be guessed at full speed. */
  async #authenticate(authorization: string | undefined, address: string): Promise<Caller> {
    try {
      return await this.authenticator.authenticate(authorization);
    } catch (error) {
      this.#take(`unauthenticated:${address}`, {
        perSecond: this.config.PARLEY_SIGN_INS_PER_SECOND,
        burst: this.config.PARLEY_SIGN_INS_BURST,
      });
      throw error;
    }
  }

  /** Guessing one account's password is slowed down wherever it is done from. */
  failedSignIn(username: string): void {
    this.#take(`failed:${username.toLowerCase()}`, this.#failures());
  }

  /** Throws while too many attempts at this account have failed; takes nothing. */
  checkFailedSignIns(username: string): void {
    if (this.config.PARLEY_RATE_LIMITS === 'off') return;
    refuseUnless(this.limiter.check(`failed:${username.toLowerCase()}`, this.#failures()));
  }

  #failures(): BucketSpec {
    return { perSecond: FAILED_SIGN_IN_PER_SECOND, burst: this.config.PARLEY_FAILED_SIGN_INS_BURST };
  }

  #take(key: string, spec: BucketSpec): void {
    if (this.config.PARLEY_RATE_LIMITS === 'off') return;
    refuseUnless(this.limiter.take(key, spec));
  }
}

function refuseUnless(taken: Taken): void {
  if (!taken.ok) throw new ParleyError('rate_limited', 'Too many requests', { retryAfterMs: taken.retryAfterMs });
}
