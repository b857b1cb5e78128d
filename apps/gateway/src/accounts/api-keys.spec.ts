import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { UserId, WorkspaceId } from '@parley/contracts';

import { type AccountsFixture, openAccounts, WORKSPACE } from './accounts-fixture.js';
import { type Caller, requireScope } from './caller.js';

describe('API keys', () => {
  let accounts: AccountsFixture;
  beforeAll(async () => {
    accounts = await openAccounts();
  });
  afterAll(() => accounts.close());

  it('have a bot of their own, and are shown once', async () => {
    const { apiKeys, directory } = accounts;
    const { key, ...created } = await apiKeys.create(WORKSPACE, { name: 'Build Bot', scopes: ['messages:write'] });
    expect(key).toBe(`parley_${created.id}_${key.split('_').slice(2).join('_')}`);
    expect(created).toMatchObject({ name: 'Build Bot', scopes: ['messages:write'], lastUsedAt: null });
    const bot = (await directory.users(WORKSPACE, [created.userId])).get(created.userId);
    expect(bot).toMatchObject({ username: 'Build-Bot', displayName: 'Build Bot', bot: true, admin: false });
    const second = await apiKeys.create(WORKSPACE, { name: 'Build Bot', scopes: [] });
    expect(second.userId).not.toBe(created.userId);
    expect(JSON.stringify(await apiKeys.list(WORKSPACE))).not.toContain(key.slice(-20));
  });

  it('authenticate until they are revoked, which ends the sessions of the bot', async () => {
    const { apiKeys, published, nowMs } = accounts;
    const created = await apiKeys.create(WORKSPACE, { name: 'Temporary', scopes: [] });
    expect(await apiKeys.authenticate(created.key)).toMatchObject({ key: { id: created.id }, user: { bot: true } });
    const stored = (await apiKeys.list(WORKSPACE)).find(({ id }) => id === created.id);
    expect(stored?.lastUsedAt).toBe(new Date(nowMs()).toISOString());

    await expect(apiKeys.revoke('elsewhere' as WorkspaceId, created.id)).rejects.toMatchObject({ code: 'not_found' });
    await apiKeys.revoke(WORKSPACE, created.id);
    expect(published).toEqual([
      {
        kind: 'session.ended',
        workspaceId: WORKSPACE,
        userId: created.userId,
        familyId: null,
        code: 'unauthenticated',
      },
    ]);
    expect(await apiKeys.authenticate(created.key)).toBeNull();
    await expect(apiKeys.revoke(WORKSPACE, created.id)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('are nothing when a character is wrong', async () => {
    const { key } = await accounts.apiKeys.create(WORKSPACE, { name: 'Typo', scopes: [] });
    for (const wrong of [
      `${key}x`,
      key.slice(0, -1),
      key.replace('parley', 'other'),
      'parley_',
      `${key.slice(0, -1)}!`,
    ]) {
      expect(await accounts.apiKeys.authenticate(wrong)).toBeNull();
    }
  });

  it('note when they were used, to the minute', async () => {
    const { apiKeys, nowMs } = accounts;
    const { key, id } = await apiKeys.create(WORKSPACE, { name: 'Used', scopes: [] });
    const lastUsed = async () => (await apiKeys.list(WORKSPACE)).find((each) => each.id === id)?.lastUsedAt;
    await apiKeys.authenticate(key);
    const first = new Date(nowMs()).toISOString();
    accounts.advance(59_999);
    await apiKeys.authenticate(key);
    expect(await lastUsed()).toBe(first);
    accounts.advance(1);
    await apiKeys.authenticate(key);
    expect(await lastUsed()).toBe(new Date(nowMs()).toISOString());
  });
});

describe('scopes', () => {
  const person: Caller = {
    workspaceId: WORKSPACE,
    userId: 'u' as UserId,
    admin: false,
    scopes: null,
    familyId: 'f',
    expiresAtMs: null,
    kind: 'user',
  };
  const permitted = (caller: Partial<Caller>, scope: Parameters<typeof requireScope>[1]): boolean => {
    try {
      requireScope({ ...person, ...caller }, scope);
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'forbidden' });
      return false;
    }
  };

  it('limit keys to what they were given', () => {
    expect(permitted({ scopes: ['messages:read'] }, 'messages:read')).toBe(true);
    expect(permitted({ scopes: ['messages:read'] }, 'messages:write')).toBe(false);
    expect(permitted({ scopes: ['admin'], admin: true }, 'messages:write')).toBe(false);
    expect(permitted({ scopes: ['admin'], admin: true }, 'admin')).toBe(true);
  });

  it('leave people alone, but for what is an admin’s', () => {
    expect(permitted({}, 'messages:write')).toBe(true);
    expect(permitted({}, 'admin')).toBe(false);
    expect(permitted({ admin: true }, 'admin')).toBe(true);
  });
});
