import { type Assignment, ParleyError, type RouteName, type Tokens, type User } from '@parley/contracts';

import type { RestClient, RestRequest, RestResult } from './rest-client.js';
import { mapBounded, type RetryOptions, untilAnswered } from './retry.js';
import type { SessionAddress } from './raw-session.js';

export interface Credentials {
  readonly username: string;
  readonly password: string;
  readonly displayName?: string;
}

/** Tokens are renewed after this share of their life, so that a session opened with one outlives a measurement. */
const RENEW_AFTER = 0.5;

/** A registered user with tokens that renew themselves. */
export class Account {
  readonly #rest: RestClient;
  readonly #credentials: Credentials;
  #tokens: Tokens;
  #renewAtMs: number;
  #renewing: Promise<void> | undefined;

  private constructor(rest: RestClient, credentials: Credentials, tokens: Tokens) {
    this.#rest = rest;
    this.#credentials = credentials;
    this.#tokens = tokens;
    this.#renewAtMs = renewalOf(tokens);
  }

  /** Registers; if an earlier attempt got through but its answer did not, signs in. */
  static async register(rest: RestClient, credentials: Credentials, retry: RetryOptions = {}): Promise<Account> {
    let attempts = 0;
    const tokens = await untilAnswered(async () => {
      attempts += 1;
      try {
        return await rest.call('register', { body: credentials });
      } catch (error) {
        if (attempts > 1 && error instanceof ParleyError && error.code === 'conflict') return signIn(rest, credentials);
        throw error;
      }
    }, retry);
    return new Account(rest, credentials, tokens);
  }

  get user(): User {
    return this.#tokens.user;
  }

  async token(): Promise<string> {
    if (performance.now() >= this.#renewAtMs) {
      this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
      await this.#renewing;
    }
    return this.#tokens.accessToken;
  }

  /** One attempt of a route as this user. */
  async call<N extends RouteName>(name: N, request: Omit<RestRequest, 'token'> = {}): Promise<RestResult<N>> {
    return this.#rest.call(name, { ...request, token: await this.token() });
  }

  async #renew(): Promise<void> {
    try {
      this.#tokens = await this.#rest.call('refresh', { body: { refreshToken: this.#tokens.refreshToken } });
    } catch (error) {
      // The answer to an earlier renewal was lost, and a token used twice ends its family: sign in again.
      if (!(error instanceof ParleyError) || (error.code !== 'unauthenticated' && error.code !== 'token_expired'))
        throw error;
      this.#tokens = await signIn(this.#rest, this.#credentials);
    }
    this.#renewAtMs = renewalOf(this.#tokens);
  }
}

function signIn(rest: RestClient, credentials: Credentials): Promise<Tokens> {
  return rest.call('login', { body: { username: credentials.username, password: credentials.password } });
}

function renewalOf(tokens: Tokens): number {
  return performance.now() + tokens.expiresIn * 1_000 * RENEW_AFTER;
}

/** Registers many at once; hashing passwords is what it costs, on the server's side. */
export function registerAll(
  rest: RestClient,
  credentials: readonly Credentials[],
  options: { atOnce?: number; retry?: RetryOptions } = {},
): Promise<Account[]> {
  return mapBounded(credentials, options.atOnce ?? 8, (one) => Account.register(rest, one, options.retry));
}

export function addressOf(assignment: Assignment): SessionAddress {
  const url = new URL(assignment.url);
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return { host: url.hostname, port, path: assignment.path, ticket: assignment.ticket };
}

/** Asks for a chat server, as every client does before it connects. */
export async function assign(account: Account, deviceId: string): Promise<SessionAddress> {
  return addressOf(await account.call('session', { body: { deviceId } }));
}
