import { describe, expect, it } from '@jest/globals';

import { allPages, at, fresh, freshWorkspace, newUser, people } from './conformance-builders.js';
import type { Directory } from './directory.js';

export function accountsConformance(open: () => Directory): void {
  describe('users', () => {
    it('finds a new user by id, username and external account', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const external = { issuer: 'https://issuer.example', subject: fresh('sub') };
      const wanted = newUser({ workspaceId, username: 'Ann', displayName: 'Ann A.', passwordHash: '$phc', external });
      const { kind, user } = await directory.createUser(wanted, at(1));
      expect(kind).toBe('created');
      expect(user).toEqual({
        workspaceId,
        id: wanted.id,
        username: 'Ann',
        displayName: 'Ann A.',
        admin: true,
        bannedAt: null,
        createdAt: at(1),
      });
      expect(await directory.users(workspaceId, [wanted.id, wanted.id])).toEqual(new Map([[wanted.id, user]]));
      expect(await directory.userByUsername(workspaceId, 'aNN')).toEqual({ user, passwordHash: '$phc' });
      expect(await directory.userByExternal(external.issuer, external.subject)).toEqual(user);
      expect(await directory.userByExternal(external.issuer, 'another')).toBeNull();
      // Whoever else the issuer says it is: not by case, and not by a space at the end.
      expect(await directory.userByExternal(external.issuer, external.subject.toUpperCase())).toBeNull();
      expect(await directory.userByExternal(external.issuer, `${external.subject} `)).toBeNull();
    });

    it('has usernames once in a workspace, compared without case', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const first = await directory.createUser(newUser({ workspaceId, username: 'Zoë' }), at(0));
      const second = await directory.createUser(newUser({ workspaceId, username: 'ZOË' }), at(0));
      expect(second).toEqual({ kind: 'conflict', user: first.user });
      const elsewhere = await directory.createUser(newUser({ workspaceId: freshWorkspace(), username: 'zoë' }), at(0));
      expect(elsewhere.kind).toBe('created');
    });

    it('has an external account once', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const external = { issuer: 'https://issuer.example', subject: fresh('sub') };
      const first = await directory.createUser(newUser({ workspaceId, external }), at(0));
      const second = await directory.createUser(newUser({ workspaceId, external }), at(0));
      expect(second).toEqual({ kind: 'conflict', user: first.user });
    });

    it('gives a username that ten register at once to one of them', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const outcomes = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          directory.createUser(newUser({ workspaceId, username: n % 2 === 0 ? 'same' : 'SAME' }), at(0)),
        ),
      );
      expect(outcomes.filter(({ kind }) => kind === 'created')).toHaveLength(1);
      expect(new Set(outcomes.map(({ user }) => user.id)).size).toBe(1);
    });

    it('makes the first person of a workspace its admin, and nobody else', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const bot = await directory.createUser(newUser({ workspaceId, bot: true }), at(0));
      expect(bot.user).toMatchObject({ bot: true, admin: false });
      const admins = (await people(directory, workspaceId, 5)).filter((user) => user.admin);
      expect(admins).toHaveLength(1);
    });

    it('does not spend the place of the admin on a registration that fails', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      await directory.createUser(newUser({ workspaceId, username: 'taken', bot: true }), at(0));
      await directory.createUser(newUser({ workspaceId, username: 'taken' }), at(0));
      const { user } = await directory.createUser(newUser({ workspaceId, username: 'free' }), at(0));
      expect(user.admin).toBe(true);
    });

    it('finds people by the beginning of either name, without case, in pages by username', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const names: readonly (readonly [string, string])[] = [
        ['anna', 'Zed'],
        ['bert', 'Andrew'],
        ['Andy', 'Yves'],
        ['carl', 'An%_'],
        ['dora', 'Joanna'],
      ];
      for (const [username, displayName] of names) {
        await directory.createUser(newUser({ workspaceId, username, displayName }), at(0));
      }
      await directory.createUser(newUser({ workspaceId: freshWorkspace(), username: 'angela' }), at(0));
      const find = (query: string | null, limit: number) =>
        allPages((cursor) => directory.findUsers(workspaceId, query, { limit, cursor })).then((pages) =>
          pages.map((page) => page.map((user) => user.username)),
        );
      expect(await find('AN', 2)).toEqual([
        ['Andy', 'anna'],
        ['bert', 'carl'],
      ]);
      expect(await find('an%', 10)).toEqual([['carl']]);
      expect(await find(null, 3)).toEqual([
        ['Andy', 'anna', 'bert'],
        ['carl', 'dora'],
      ]);
      expect(await find('nobody', 3)).toEqual([[]]);
      await expect(directory.findUsers(workspaceId, null, { limit: 1, cursor: 'x' })).rejects.toMatchObject({
        code: 'invalid',
      });
    });

    it('changes the profile', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const [ann] = await people(directory, workspaceId, 1);
      if (ann === undefined) throw new Error('nobody');
      const changed = await directory.updateUser(ann.id, { displayName: 'Quinn', avatarUrl: 'https://a.example/1' });
      expect(changed).toEqual({ ...ann, displayName: 'Quinn', avatarUrl: 'https://a.example/1' });
      expect((await directory.findUsers(workspaceId, 'quin', { limit: 5, cursor: null })).items).toEqual([changed]);
      expect(await directory.updateUser(ann.id, { avatarUrl: null })).toEqual({ ...ann, displayName: 'Quinn' });
      expect(await directory.updateUser(newUser({ workspaceId }).id, { displayName: 'x' })).toBeNull();
    });

    it('ends all sign-ins of whom it bans, and leaves them out of searches', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const [ann, bob] = await people(directory, workspaceId, 2);
      if (ann === undefined || bob === undefined) throw new Error('nobody');
      const [one, two, other] = [fresh('f'), fresh('f'), fresh('f')];
      await directory.createFamily({ id: one, userId: ann.id, workspaceId }, fresh('t'), at(0), at(99));
      await directory.createFamily({ id: two, userId: ann.id, workspaceId }, fresh('t'), at(0), at(99));
      await directory.createFamily({ id: other, userId: bob.id, workspaceId }, fresh('t'), at(0), at(99));
      expect(await directory.setBanned(ann.id, at(5))).toEqual({ ...ann, bannedAt: at(5) });
      expect(await directory.liveFamilies([one, two, other, 'unknown'])).toEqual(new Set([other]));
      const found = await directory.findUsers(workspaceId, null, { limit: 9, cursor: null });
      expect(found.items).toEqual([bob]);
      expect(await directory.setBanned(ann.id, null)).toEqual(ann);
      expect(await directory.liveFamilies([one, two])).toEqual(new Set());
    });

    it('finds nobody across workspaces', async () => {
      const directory = open();
      const [here, there] = [freshWorkspace(), freshWorkspace()];
      const { user } = await directory.createUser(newUser({ workspaceId: here, username: 'ann' }), at(0));
      expect(await directory.users(there, [user.id])).toEqual(new Map());
      expect(await directory.userByUsername(there, 'ann')).toBeNull();
      expect((await directory.findUsers(there, null, { limit: 5, cursor: null })).items).toEqual([]);
    });
  });

  describe('sign-ins', () => {
    const signIn = async (directory: Directory, expiresAt = at(60)) => {
      const workspaceId = freshWorkspace();
      const [user] = await people(directory, workspaceId, 1);
      if (user === undefined) throw new Error('nobody');
      const family = { id: fresh('f'), userId: user.id, workspaceId };
      const token = fresh('t');
      await directory.createFamily(family, token, at(0), expiresAt);
      return { family, token };
    };

    it('exchanges a token for the next, again and again', async () => {
      const directory = open();
      const { family, token } = await signIn(directory);
      const [second, third] = [fresh('t'), fresh('t')];
      const rotated = { kind: 'rotated', family: { ...family, endedAt: null } };
      expect(await directory.rotateToken(token, second, at(1), at(61))).toEqual(rotated);
      expect(await directory.rotateToken(second, third, at(60.5), at(120))).toEqual(rotated);
    });

    it('ends the family of a token that is used twice', async () => {
      const directory = open();
      const { family, token } = await signIn(directory);
      const second = fresh('t');
      await directory.rotateToken(token, second, at(1), at(61));
      const ended = { ...family, endedAt: at(2) };
      expect(await directory.rotateToken(token, fresh('t'), at(2), at(62))).toEqual({ kind: 'reused', family: ended });
      expect(await directory.liveFamilies([family.id])).toEqual(new Set());
      expect((await directory.rotateToken(second, fresh('t'), at(3), at(63))).kind).toBe('expired');
    });

    it('takes the second of two exchanges at once for a reuse', async () => {
      const directory = open();
      const { family, token } = await signIn(directory);
      const outcomes = await Promise.all([
        directory.rotateToken(token, fresh('t'), at(1), at(61)),
        directory.rotateToken(token, fresh('t'), at(1), at(61)),
      ]);
      expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['reused', 'rotated']);
      expect(await directory.liveFamilies([family.id])).toEqual(new Set());
    });

    it('refuses tokens that have expired, that nobody was given, and those of an ended family', async () => {
      const directory = open();
      const { token } = await signIn(directory, at(10));
      expect(await directory.rotateToken(token, fresh('t'), at(10), at(20))).toEqual({ kind: 'expired' });
      expect(await directory.rotateToken(fresh('t'), fresh('t'), at(1), at(2))).toEqual({ kind: 'unknown' });
      const loggedOut = await signIn(directory);
      await directory.endFamily(loggedOut.family.id, at(1));
      expect(await directory.rotateToken(loggedOut.token, fresh('t'), at(2), at(62))).toEqual({ kind: 'expired' });
    });

    it('ends a family once', async () => {
      const directory = open();
      const { family } = await signIn(directory);
      expect(await directory.liveFamilies([family.id])).toEqual(new Set([family.id]));
      expect(await directory.endFamily(family.id, at(3))).toEqual({ ...family, endedAt: at(3) });
      expect(await directory.endFamily(family.id, at(4))).toEqual({ ...family, endedAt: at(3) });
      expect(await directory.endFamily(fresh('f'), at(4))).toBeNull();
    });

    it('forgets expired sign-ins of a user who signs in again', async () => {
      const directory = open();
      const { family, token } = await signIn(directory, at(10));
      await directory.createFamily({ ...family, id: fresh('f') }, fresh('t'), at(11), at(70));
      expect(await directory.rotateToken(token, fresh('t'), at(12), at(72))).toEqual({ kind: 'unknown' });
    });
  });

  describe('API keys and secrets', () => {
    it('finds a key by its hash, with its user, until it is revoked', async () => {
      const directory = open();
      const workspaceId = freshWorkspace();
      const { user } = await directory.createUser(newUser({ workspaceId, bot: true }), at(0));
      const secretHash = fresh('hash');
      const key = await directory.createApiKey({
        id: fresh('k'),
        workspaceId,
        name: 'Builds',
        scopes: ['messages:write', 'users:read'],
        userId: user.id,
        secretHash,
        createdAt: at(1),
      });
      expect(key).toMatchObject({ name: 'Builds', scopes: ['messages:write', 'users:read'], lastUsedAt: null });
      expect(await directory.apiKeyByHash(secretHash)).toEqual({ key, user });
      await directory.touchApiKey(key.id, at(9));
      await directory.touchApiKey(key.id, at(8));
      expect(await directory.listApiKeys(workspaceId)).toEqual([{ ...key, lastUsedAt: at(9) }]);

      expect(await directory.listApiKeys(freshWorkspace())).toEqual([]);
      expect(await directory.revokeApiKey(freshWorkspace(), key.id)).toBeNull();
      expect(await directory.revokeApiKey(workspaceId, key.id)).toEqual({ ...key, lastUsedAt: at(9) });
      expect(await directory.apiKeyByHash(secretHash)).toBeNull();
      expect(await directory.revokeApiKey(workspaceId, key.id)).toBeNull();
    });

    it('never overwrites a secret, also when two make it at once', async () => {
      const directory = open();
      const name = fresh('secret');
      const made = await Promise.all(['a', 'b', 'c'].map((value) => directory.secret(name, () => value)));
      expect(new Set(made).size).toBe(1);
      expect(await directory.secret(name, () => 'd')).toBe(made[0]);
    });
  });
}
