import { randomBytes } from 'node:crypto';

import { type ApiKey, ParleyError, type Scope, type UserId, type WorkspaceId } from '@parley/contracts';
import type { Directory, UserRecord } from '@parley/directory';

import { createWithFreeUsername, usernameFrom } from './free-username.js';
import { randomSecret, secretHash } from './refresh-tokens.js';
import type { SessionEnded } from './sign-in.js';

export interface ApiKeysOptions {
  readonly directory: Directory;
  readonly publish: (record: SessionEnded) => Promise<void>;
  readonly nowMs: () => number;
  readonly newId: () => string;
}

/** `parley_<id>_<secret>`: recognisable to secret scanners, and the id tells which key leaked. */
const KEY_FORMAT = /^parley_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/;
/** `lastUsedAt` is right to the minute: not every request is a write. */
const TOUCH_AFTER_MS = 60_000;

/** Keys for back ends and bots, each with a user of its own. */
export class ApiKeys {
  readonly #options: ApiKeysOptions;

  constructor(options: ApiKeysOptions) {
    this.#options = options;
  }

  static looksLikeKey(token: string): boolean {
    return token.startsWith('parley_');
  }

  /** The key itself is in the answer, and nowhere else. */
  async create(
    workspaceId: WorkspaceId,
    wanted: { readonly name: string; readonly scopes: readonly Scope[] },
  ): Promise<ApiKey & { readonly key: string }> {
    const { directory, nowMs, newId } = this.#options;
    const createdAt = new Date(nowMs()).toISOString();
    const id = randomBytes(8).toString('hex');
    const key = `parley_${id}_${randomSecret()}`;
    const bot = await createWithFreeUsername(
      directory,
      {
        workspaceId,
        id: newId() as UserId,
        username: usernameFrom(wanted.name),
        displayName: wanted.name,
        passwordHash: null,
        bot: true,
      },
      createdAt,
    );
    const created = await directory.createApiKey({
      id,
      workspaceId,
      name: wanted.name,
      scopes: [...new Set(wanted.scopes)],
      userId: bot.id,
      secretHash: secretHash(key),
      createdAt,
    });
    return { ...created, key };
  }

  /** Null: no such key, or not any more. */
  async authenticate(key: string): Promise<{ readonly key: ApiKey; readonly user: UserRecord } | null> {
    if (!KEY_FORMAT.test(key)) return null;
    const { directory, nowMs } = this.#options;
    const found = await directory.apiKeyByHash(secretHash(key));
    if (found === null) return null;
    const { lastUsedAt } = found.key;
    if (lastUsedAt === null || nowMs() - Date.parse(lastUsedAt) >= TOUCH_AFTER_MS) {
      await directory.touchApiKey(found.key.id, new Date(nowMs()).toISOString());
    }
    return found;
  }

  list(workspaceId: WorkspaceId): Promise<readonly ApiKey[]> {
    return this.#options.directory.listApiKeys(workspaceId);
  }

  /** Ends the key and the sessions of its user. */
  async revoke(workspaceId: WorkspaceId, id: string): Promise<void> {
    const { directory, publish } = this.#options;
    const revoked = await directory.revokeApiKey(workspaceId, id);
    if (revoked === null) throw new ParleyError('not_found', 'There is no such API key');
    await publish({
      kind: 'session.ended',
      workspaceId,
      userId: revoked.userId,
      familyId: null,
      code: 'unauthenticated',
    });
  }
}
