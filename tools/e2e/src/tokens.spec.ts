import { afterAll, expect, it } from '@jest/globals';

import { AUDIENCE, type Issuer, openIssuer } from './issuer.js';
import { call, Person, refusal } from './person.js';
import { eventually } from './recorder.js';
import { scenarioWithOwnServer } from './world.js';

let issuer: Issuer | undefined;

async function settings() {
  issuer = await openIssuer();
  return {
    PARLEY_ACCESS_TOKEN_TTL_S: '2',
    PARLEY_OIDC_ISSUERS: JSON.stringify([{ issuer: issuer.url, audience: AUDIENCE }]),
  };
}

scenarioWithOwnServer(
  'tokens that end, and tokens from elsewhere',
  'it needs settings of its own',
  settings,
  (world) => {
    const sign: Issuer['sign'] = (claims, change) => {
      if (issuer === undefined) throw new Error('The issuer is not open');
      return issuer.sign(claims, change);
    };
    afterAll(() => issuer?.close());

    it('refuses an expired access token by name, and closes its sockets and streams', async () => {
      const person = await world.person();
      const phone = await person.connect();
      const stream = await person.stream();
      await expect(phone.next('session.expired', () => true, 7_000)).resolves.toEqual({ code: 'token_expired' });
      await expect(phone.closed).resolves.toMatchObject({ code: 4001 });
      await stream.next('session.expired', () => true, 7_000);
      await stream.ended;
      expect(await person.refused('me')).toMatchObject({ code: 'token_expired', status: 401, retryable: false });
      const { body } = await call(world.url, null, 'refresh', { body: { refreshToken: person.refreshToken } });
      expect((await call(world.url, body.accessToken, 'me')).body).toEqual(person.user);
    });

    it('makes the user of an outside issuer at first sight, once', async () => {
      const claims = { sub: 'subject-1', preferred_username: 'outsider', name: 'Out Sider' };
      const token = await sign(claims);
      const [first, again] = await Promise.all([call(world.url, token, 'me'), call(world.url, token, 'me')]);
      expect(first.body).toMatchObject({ username: 'outsider', displayName: 'Out Sider' });
      expect(again.body).toEqual(first.body);
      expect((await call(world.url, await sign(claims), 'me')).body.id).toBe(first.body.id);
    });

    it('opens sessions for users of an outside issuer, who talk with everyone else', async () => {
      const token = await sign({ sub: 'subject-2', name: 'Two' });
      const { body: user } = await call(world.url, token, 'me');
      const outsider = world.keep(new Person(world.url, user, token, ''));
      const ann = await world.person();
      const { id } = await ann.create('direct', [outsider]);
      const phone = await outsider.connect();
      const message = await ann.say(id, 'welcome');
      await expect(phone.next('message.new')).resolves.toMatchObject({ conversationId: id, seq: message.seq });
    });

    it('refuses tokens of the issuer that are for others, expired, or not signed by it', async () => {
      const wrong = await Promise.all([
        sign({ sub: 'subject-1' }, { audience: 'someone-else' }),
        sign({ sub: 'subject-1' }, { issuer: 'https://elsewhere.example' }),
        sign({}),
        sign({ sub: 'subject-1' }, { forged: true }),
      ]);
      for (const token of wrong) {
        expect((await refusal(world.url, token, 'me')).code).toBe('unauthenticated');
      }
      const expired = await sign({ sub: 'subject-1' }, { expiresAt: '-1m' });
      expect((await refusal(world.url, expired, 'me')).code).toBe('token_expired');
    });

    it('closes the session of an outside token when that expires', async () => {
      const token = await sign({ sub: 'subject-3' }, { expiresAt: '2s' });
      const { body: user } = await call(world.url, token, 'me');
      const outsider = world.keep(new Person(world.url, user, token, ''));
      const phone = await outsider.connect();
      await expect(phone.next('session.expired', () => true, 8_000)).resolves.toEqual({ code: 'token_expired' });
      await eventually(
        () => refusal(world.url, token, 'me').catch(() => null),
        (problem) => problem?.code === 'token_expired',
        8_000,
      );
    });
  },
);
