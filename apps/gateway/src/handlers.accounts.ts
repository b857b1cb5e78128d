import { DEFAULT_WORKSPACE, ParleyError, type UserId } from '@parley/contracts';
import type { Directory } from '@parley/directory';
import type { Clock } from '@parley/service-kit';

import type { AccessTokens } from './accounts/access-tokens.js';
import type { ApiKeys } from './accounts/api-keys.js';
import { ban, type BansOptions, unban } from './accounts/bans.js';
import { publicUser, type SignIn } from './accounts/sign-in.js';
import type { Admission } from './admission.js';
import type { GatewayConfig } from './config.js';
import type { RestHandlers } from './http-api.js';

const PAGE = 50;

export interface AccountPorts {
  readonly directory: Directory;
  readonly signIn: SignIn;
  readonly accessTokens: AccessTokens;
  readonly apiKeys: ApiKeys;
  readonly bans: BansOptions;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly config: GatewayConfig;
}

type Names =
  | 'register'
  | 'login'
  | 'refresh'
  | 'logout'
  | 'jwks'
  | 'me'
  | 'updateMe'
  | 'user'
  | 'users'
  | 'ban'
  | 'unban'
  | 'createApiKey'
  | 'apiKeys'
  | 'revokeApiKey';

/** Accounts, tokens, profiles, administration. */
export function accountHandlers(ports: AccountPorts): Pick<RestHandlers, Names> {
  const { directory, signIn, accessTokens, apiKeys, bans, admission, config } = ports;
  const userOf = async (workspaceId: Parameters<Directory['users']>[0], userId: UserId) => {
    const user = (await directory.users(workspaceId, [userId])).get(userId);
    if (user === undefined) throw new ParleyError('not_found', 'There is no such user');
    return publicUser(user);
  };
  return {
    async register({ body }) {
      if (config.PARLEY_REGISTRATION === 'closed') throw new ParleyError('forbidden', 'Registration is closed');
      return { status: 201, body: await signIn.register(DEFAULT_WORKSPACE, body) };
    },
    async login({ body }) {
      admission.checkFailedSignIns(body.username);
      try {
        return { status: 200, body: await signIn.login(DEFAULT_WORKSPACE, body) };
      } catch (error) {
        if (error instanceof ParleyError && error.code === 'unauthenticated') admission.failedSignIn(body.username);
        throw error;
      }
    },
    refresh: async ({ body }) => ({ status: 200, body: await signIn.refresh(body.refreshToken) }),
    async logout(_input, { caller }) {
      await signIn.logout(caller);
      return { status: 204, body: null };
    },
    jwks: async () => ({ status: 200, body: accessTokens.jwks() }),
    me: async (_input, { caller }) => ({ status: 200, body: await userOf(caller.workspaceId, caller.userId) }),
    async updateMe({ body }, { caller }) {
      const { displayName, avatarUrl } = body;
      const user = await directory.updateUser(caller.userId, {
        ...(displayName === undefined ? {} : { displayName }),
        ...(avatarUrl === undefined ? {} : { avatarUrl }),
      });
      if (user === null) throw new ParleyError('not_found', 'There is no such user');
      return { status: 200, body: publicUser(user) };
    },
    user: async ({ params }, { caller }) => ({ status: 200, body: await userOf(caller.workspaceId, params.userId) }),
    async users({ query }, { caller }) {
      const page = { limit: query.limit ?? PAGE, cursor: query.cursor ?? null };
      const found = await directory.findUsers(caller.workspaceId, query.query ?? null, page);
      return { status: 200, body: { items: found.items.map(publicUser), nextCursor: found.nextCursor } };
    },
    async ban({ params }, { caller }) {
      if (params.userId === caller.userId) throw new ParleyError('conflict', 'Nobody bans themselves');
      await ban(bans, caller.workspaceId, params.userId);
      return { status: 204, body: null };
    },
    async unban({ params }, { caller }) {
      await unban(bans, caller.workspaceId, params.userId);
      return { status: 204, body: null };
    },
    createApiKey: async ({ body }, { caller }) => ({
      status: 201,
      body: await apiKeys.create(caller.workspaceId, body),
    }),
    apiKeys: async (_input, { caller }) => ({
      status: 200,
      body: { items: [...(await apiKeys.list(caller.workspaceId))] },
    }),
    async revokeApiKey({ params }, { caller }) {
      await apiKeys.revoke(caller.workspaceId, params.keyId);
      return { status: 204, body: null };
    },
  };
}
