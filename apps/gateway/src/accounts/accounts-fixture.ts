import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DEFAULT_WORKSPACE } from '@parley/contracts';
import { type Directory, openDirectory } from '@parley/directory';

import { AccessTokens } from './access-tokens.js';
import { ApiKeys } from './api-keys.js';
import { Passwords } from './passwords.js';
import { type SessionEnded, SignIn } from './sign-in.js';

/** For specs: the real thing on a directory of its own, with quick hashes and a clock that stands still. */
export interface AccountsFixture {
  readonly directory: Directory;
  readonly passwords: Passwords;
  readonly accessTokens: AccessTokens;
  readonly signIn: SignIn;
  readonly apiKeys: ApiKeys;
  readonly published: SessionEnded[];
  readonly nowMs: () => number;
  readonly newId: () => string;
  readonly publish: (record: SessionEnded) => Promise<void>;
  advance(ms: number): void;
  close(): Promise<void>;
}

export const CHEAP_COST = { memoryCost: 64, timeCost: 1, parallelism: 1 };
export const ACCESS_TTL_MS = 900_000;
export const REFRESH_TTL_MS = 30 * 86_400_000;
export const ANN = { username: 'ann', password: 'correct horse' };

export async function openAccounts(): Promise<AccountsFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-accounts-'));
  const directory = await openDirectory({ adapter: 'sqlite', directory: folder });
  let now = Date.UTC(2026, 0, 1);
  const nowMs = () => now;
  const newId = () => randomUUID();
  const published: SessionEnded[] = [];
  const publish = async (record: SessionEnded) => {
    published.push(record);
  };
  const passwords = await Passwords.open({ cost: CHEAP_COST });
  const accessTokens = await AccessTokens.open({
    directory,
    issuer: 'https://parley.example',
    audience: 'parley',
    ttlMs: ACCESS_TTL_MS,
    nowMs,
    newId,
  });
  const signIn = new SignIn({
    directory,
    passwords,
    accessTokens,
    publish,
    refreshTtlMs: REFRESH_TTL_MS,
    nowMs,
    newId,
  });
  return {
    directory,
    passwords,
    accessTokens,
    signIn,
    apiKeys: new ApiKeys({ directory, publish, nowMs, newId }),
    published,
    nowMs,
    newId,
    publish,
    advance: (ms) => {
      now += ms;
    },
    async close() {
      await directory.close();
      await rm(folder, { recursive: true });
    },
  };
}

export const WORKSPACE = DEFAULT_WORKSPACE;
