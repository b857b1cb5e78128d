import { beforeAll, expect, it } from '@jest/globals';
import { createRemoteJWKSet, jwtVerify } from 'jose';

import { call, PASSWORD, Person, refusal } from './person.js';
import { eventually } from './recorder.js';
import { itWithOwnServer, scenario } from './world.js';

const WITHIN_MS = 5_000;
const ADMIN = 'only who registers first is the admin';

scenario('accounts', (world) => {
  let admin: Person;
  beforeAll(async () => {
    admin = await world.person('admin');
  });

  /** A phone, an event stream and a poll of one sign-in. */
  async function connected(person: Person) {
    const phone = await person.connect();
    const stream = await person.stream();
    const { cursor } = await person.poll();
    const poll = person.poll({ cursor, timeoutMs: 30_000 });
    return { phone, stream, poll };
  }

  async function expectEnded({ phone, stream, poll }: Awaited<ReturnType<typeof connected>>, code: string) {
    const startedMs = performance.now();
    await expect(phone.next('session.expired')).resolves.toEqual({ code });
    await expect(phone.closed).resolves.toMatchObject({ code: 4001 });
    await expect(stream.next('session.expired')).resolves.toEqual({ code });
    await stream.ended;
    expect((await poll).events).toContainEqual({ event: 'session.expired', data: { code } });
    expect(performance.now() - startedMs).toBeLessThan(WITHIN_MS);
  }

  it('registers with what was asked for, and never says the password', async () => {
    const username = world.name('ann');
    const { status, body } = await call(world.url, null, 'register', {
      body: { username, password: PASSWORD, displayName: 'Ann A.' },
    });
    expect(status).toBe(201);
    expect(body.user).toMatchObject({ username, displayName: 'Ann A.' });
    expect(body.expiresIn).toBeGreaterThan(0);
    expect(JSON.stringify(body)).not.toContain(PASSWORD);
  });

  it('refuses a taken username, whatever its case', async () => {
    const person = await world.person('ann');
    const body = { username: person.user.username.toUpperCase(), password: PASSWORD };
    expect(await refusal(world.url, null, 'register', { body })).toMatchObject({ code: 'conflict', status: 409 });
  });

  it('gives a name to one of those who ask for it at once', async () => {
    const username = world.name('wanted');
    const asked = await Promise.allSettled(
      Array.from({ length: 8 }, () => call(world.url, null, 'register', { body: { username, password: PASSWORD } })),
    );
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('answers a wrong password and an unknown name alike', async () => {
    const { user } = await world.person();
    const wrong = await refusal(world.url, null, 'login', {
      body: { username: user.username, password: 'wrong one' },
    });
    const unknown = await refusal(world.url, null, 'login', {
      body: { username: world.name(), password: 'wrong one' },
    });
    expect(wrong.code).toBe('unauthenticated');
    expect({ ...wrong, requestId: '' }).toEqual({ ...unknown, requestId: '' });
  });

  it('exchanges a refresh token for a new pair', async () => {
    const person = await world.person();
    const { body } = await call(world.url, null, 'refresh', { body: { refreshToken: person.refreshToken } });
    expect(body.refreshToken).not.toBe(person.refreshToken);
    expect((await call(world.url, body.accessToken, 'me')).body).toEqual(person.user);
    await expect(
      call(world.url, null, 'refresh', { body: { refreshToken: body.refreshToken } }),
    ).resolves.toBeDefined();
  });

  it('ends the whole family when a refresh token is used twice, and no other sign-in', async () => {
    const person = await world.person();
    const elsewhere = world.keep(await person.signInAgain());
    const open = await connected(person);
    const { body } = await call(world.url, null, 'refresh', { body: { refreshToken: person.refreshToken } });
    const reused = await refusal(world.url, null, 'refresh', { body: { refreshToken: person.refreshToken } });
    expect(reused.status).toBe(401);
    await expectEnded(open, 'unauthenticated');
    expect((await refusal(world.url, null, 'refresh', { body: { refreshToken: body.refreshToken } })).status).toBe(401);
    await eventually(
      async () => await refusalStatus(body.accessToken),
      (status) => status === 401,
    );
    expect(await elsewhere.call('me')).toEqual(person.user);
  });

  it('takes two exchanges of one refresh token at once for a reuse', async () => {
    const { refreshToken } = await world.person();
    const exchanged = await Promise.allSettled(
      [1, 2].map(() => call(world.url, null, 'refresh', { body: { refreshToken } })),
    );
    const given = exchanged.flatMap((each) => (each.status === 'fulfilled' ? [each.value.body] : []));
    expect(given.length).toBeLessThanOrEqual(1);
    for (const tokens of given) {
      const next = await refusal(world.url, null, 'refresh', { body: { refreshToken: tokens.refreshToken } });
      expect(next.code).toBe('unauthenticated');
    }
  });

  it('refuses a refresh token that never was one', async () => {
    expect((await refusal(world.url, null, 'refresh', { body: { refreshToken: 'nonsense' } })).status).toBe(401);
  });

  it('ends sockets, event streams and polls of a sign-in within 5 s of its logout', async () => {
    const person = await world.person();
    const elsewhere = world.keep(await person.signInAgain());
    const open = await connected(person);
    const other = await elsewhere.connect('laptop');
    expect((await person.answer('logout')).status).toBe(204);
    expect((await person.refused('me')).code).toBe('unauthenticated');
    await expectEnded(open, 'unauthenticated');
    expect((await refusal(world.url, null, 'refresh', { body: { refreshToken: person.refreshToken } })).status).toBe(
      401,
    );
    // The other sign-in goes on.
    expect(await elsewhere.call('me')).toEqual(person.user);
    await other.ask('sync', { cursors: {} });
    expect(other.all('session.expired')).toEqual([]);
  });

  it('has access tokens that anyone can verify with the published keys', async () => {
    const person = await world.person();
    const keys = createRemoteJWKSet(new URL(`${world.url}/.well-known/jwks.json`));
    const { payload, protectedHeader } = await jwtVerify(person.accessToken, keys, { algorithms: ['EdDSA'] });
    expect(payload.sub).toBe(person.id);
    expect(protectedHeader.alg).toBe('EdDSA');
    const { body } = await call(world.url, null, 'jwks');
    expect(JSON.stringify(body)).not.toContain('"d":');
  });

  it('asks for a token, and knows a good one from a forged one', async () => {
    const person = await world.person();
    const [header, payload, signature] = person.accessToken.split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
    const forged = Buffer.from(JSON.stringify({ ...claims, sub: admin.id })).toString('base64url');
    const unsigned = Buffer.from(JSON.stringify({ alg: 'none', typ: 'at+jwt' })).toString('base64url');
    for (const token of [null, 'nonsense', `${header}.${forged}.${signature}`, `${unsigned}.${payload}.`]) {
      const problem = await refusal(world.url, token, 'me');
      expect(problem).toMatchObject({ status: 401, code: 'unauthenticated', retryable: false });
    }
  });

  itWithOwnServer(
    'lets an admin ban someone: everything of theirs ends within 5 s, until the ban is lifted',
    ADMIN,
    async () => {
      const person = await world.person();
      const open = await connected(person);
      expect((await admin.answer('ban', { params: { userId: person.id } })).status).toBe(204);
      await expectEnded(open, 'forbidden');
      expect([401, 403]).toContain((await person.refused('me')).status);
      expect([401, 403]).toContain(
        (await refusal(world.url, null, 'refresh', { body: { refreshToken: person.refreshToken } })).status,
      );
      expect([401, 403]).toContain(
        (await refusal(world.url, null, 'login', { body: { username: person.user.username, password: PASSWORD } }))
          .status,
      );
      await admin.call('unban', { params: { userId: person.id } });
      expect(await (await person.signInAgain()).call('me')).toEqual(person.user);
    },
  );

  it('lets nobody else ban, or hand out keys', async () => {
    const [ann, bob] = await world.people(2);
    expect((await ann.refused('ban', { params: { userId: bob.id } })).code).toBe('forbidden');
    const body = { name: 'Key', scopes: ['admin'] };
    expect((await ann.refused('createApiKey', { body })).code).toBe('forbidden');
  });

  itWithOwnServer('gives back ends keys with a bot user, good for their scopes only', ADMIN, async () => {
    const body = { name: 'Weather bot', scopes: ['messages:read', 'conversations:read'] };
    const created = await admin.call('createApiKey', { body });
    const room = await admin.create('group');
    await admin.in(room.id, 'addMembers', { body: { userIds: [created.userId] } });
    const { body: bot } = await call(world.url, admin.accessToken, 'user', { params: { userId: created.userId } });
    expect(bot).toMatchObject({ displayName: 'Weather bot', bot: true });
    const page = await call(world.url, created.key, 'messages', { params: { conversationId: room.id } });
    expect(page.body.items).toEqual([]);
    const send = {
      params: { conversationId: room.id },
      body: { clientId: '1', content: { type: 'text', text: 'rain' } },
    };
    expect((await refusal(world.url, created.key, 'send', send)).code).toBe('forbidden');
    expect((await refusal(world.url, created.key, 'updateMe', { body: { displayName: 'x' } })).code).toBe('forbidden');
    const { items } = await admin.call('apiKeys');
    expect(items.map(({ id }) => id)).toContain(created.id);
    expect(JSON.stringify(items)).not.toContain(created.key);
  });

  async function botWith(scopes: readonly string[]) {
    const created = await admin.call('createApiKey', { body: { name: world.name('bot'), scopes } });
    const user = await admin.call('user', { params: { userId: created.userId } });
    return world.keep(new Person(world.url, user, created.key, ''));
  }

  itWithOwnServer('holds a key to its scopes on a socket, too', ADMIN, async () => {
    const reader = await botWith(['messages:read']);
    const { id } = await admin.create('group', [reader]);
    const { seq } = await admin.say(id, 'read this');
    const session = await reader.connect('bot');
    expect((await session.ask('sync', { cursors: {} })).added).toHaveLength(1);
    const content = { type: 'text', text: 'not permitted' };
    const writes = [
      ['message.send', { conversationId: id, clientId: '1', content }],
      ['reaction.add', { conversationId: id, seq, emoji: '👍' }],
    ] as const;
    for (const [event, request] of writes) expect((await session.refused(event, request)).code).toBe('forbidden');
  });

  itWithOwnServer('holds a key to its scopes on event streams and polls, too', ADMIN, async () => {
    const bot = await botWith(['users:read']);
    expect((await bot.refused('session', { body: { deviceId: 'bot' } })).code).toBe('forbidden');
    for (const path of ['/v1/events/poll', '/v1/events']) {
      const abort = new AbortController();
      const headers = { authorization: `Bearer ${bot.accessToken}` };
      const { status } = await fetch(`${world.url}${path}`, { headers, signal: abort.signal });
      abort.abort();
      expect([path, status]).toEqual([path, 403]);
    }
  });

  itWithOwnServer('ends a revoked key and its sessions', ADMIN, async () => {
    const scopes = ['messages:read', 'messages:write', 'users:read'];
    const created = await admin.call('createApiKey', { body: { name: 'Relay', scopes } });
    const { body: user } = await call(world.url, created.key, 'me');
    const bot = world.keep(new Person(world.url, user, created.key, ''));
    const session = await bot.connect('bot');
    await admin.call('revokeApiKey', { params: { keyId: created.id } });
    await session.next('session.expired');
    await session.closed;
    expect((await bot.refused('me')).status).toBe(401);
  });

  it('shows and changes profiles', async () => {
    const [ann, bob] = await world.people(2);
    const changed = await ann.call('updateMe', {
      body: { displayName: 'Ann', avatarUrl: 'https://example.com/a.png' },
    });
    expect(changed).toEqual({ ...ann.user, displayName: 'Ann', avatarUrl: 'https://example.com/a.png' });
    expect(await bob.call('user', { params: { userId: ann.id } })).toEqual(changed);
    expect((await bob.call('users', { query: { query: ann.user.username } })).items).toEqual([changed]);
    expect((await bob.refused('user', { params: { userId: 'nobody' } })).code).toBe('not_found');
  });

  async function refusalStatus(token: string): Promise<number> {
    return (await fetch(`${world.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } })).status;
  }
});
