import { beforeAll, expect, it } from '@jest/globals';
import { ERRORS, LIMITS } from '@parley/contracts';

import { callRoute, type Person, refusal } from './person.js';
import { RawSocket } from './raw-socket.js';
import { scenarioWithOwnServer } from './world.js';

const settings = () => ({
  PARLEY_RATE_LIMITS: 'on',
  PARLEY_SENDS_PER_SECOND: '1',
  PARLEY_SENDS_BURST: '5',
  PARLEY_EVENTS_PER_SECOND: '1',
  PARLEY_EVENTS_BURST: '20',
  PARLEY_REQUESTS_PER_SECOND: '2',
  PARLEY_REQUESTS_BURST: '40',
  PARLEY_SIGN_INS_BURST: '100',
  PARLEY_FAILED_SIGN_INS_BURST: '3',
});

scenarioWithOwnServer('limits', 'it needs small ones', settings, (world) => {
  let ann: Person;
  let id: string;
  beforeAll(async () => {
    ann = await world.person();
    ({ id } = await ann.create('group'));
  });
  const someone = async () => {
    const person = await world.person();
    return { person, id: (await person.create('group')).id };
  };
  const content = { type: 'text', text: 'x' };

  it('refuse sends beyond the rate, and say when to come back, over both doors', async () => {
    const one = await someone();
    const phone = await one.person.connect();
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        phone.raw('message.send', { conversationId: one.id, clientId: `${n}`, content }),
      ),
    );
    const refused = answers.filter(({ ok }) => ok === false);
    expect(refused.length).toBeGreaterThanOrEqual(2);
    expect(refused[0]).toMatchObject({
      error: { code: 'rate_limited', retryable: true, retryAfterMs: expect.any(Number) },
    });
    // What was accepted is there, once.
    expect((await one.person.sync(one.id)).head).toBe(8 - refused.length);

    const two = await someone();
    const rest = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        callRoute(world.url, two.person.accessToken, 'send', {
          params: { conversationId: two.id },
          body: { clientId: `${n}`, content },
        }),
      ),
    );
    const limited = rest.filter(({ status }) => status === 429);
    expect(limited.length).toBeGreaterThanOrEqual(2);
    expect(Number(limited[0]?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(limited[0]?.body).toMatchObject({ code: 'rate_limited', retryAfterMs: expect.any(Number) });
  });

  it('count the sends of one person together, whatever door they use', async () => {
    const { person, id: own } = await someone();
    const phone = await person.connect();
    for (let n = 0; n < 5; n += 1) await person.say(own, `${n}`);
    expect((await phone.refused('message.send', { conversationId: own, clientId: 'x', content })).code).toBe(
      'rate_limited',
    );
  });

  it('accept the same request later, unchanged', async () => {
    const { person, id: own } = await someone();
    const phone = await person.connect();
    for (let n = 0; n < 5; n += 1) await phone.say(own, `${n}`, 'x');
    const request = { conversationId: own, clientId: 'late', content };
    const refused = await phone.refused('message.send', request);
    await new Promise((resolve) => setTimeout(resolve, refused.retryAfterMs));
    expect((await phone.ask('message.send', request)).message.seq).toBe(6);
  });

  it('refuse other socket requests beyond their rate', async () => {
    const { person, id: own } = await someone();
    const phone = await person.connect();
    const answers = await Promise.all(
      Array.from({ length: 25 }, () => phone.raw('typing.stop', { conversationId: own })),
    );
    const codes = answers.map(({ ok, error }) => (ok === true ? 'ok' : (error as { code: string }).code));
    expect(codes).toContain('rate_limited');
    expect(codes.filter((code) => code === 'ok').length).toBeGreaterThanOrEqual(20);
  });

  it('refuse requests of one person beyond their rate, and nobody else’s', async () => {
    const { person } = await someone();
    const answers = await Promise.all(Array.from({ length: 60 }, () => callRoute(world.url, person.accessToken, 'me')));
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(5);
    expect(await ann.call('me')).toEqual(ann.user);
  });

  it('count polls and event streams as requests: each may open a session', async () => {
    const { person } = await someone();
    const headers = { authorization: `Bearer ${person.accessToken}` };
    const statuses = await Promise.all(
      Array.from({ length: 60 }, async () => {
        const response = await fetch(`${world.url}/v1/events/poll`, { headers });
        await response.text();
        return response.status;
      }),
    );
    expect(statuses).toContain(429);
  });

  it('slow down guessing one account’s password', async () => {
    const { person } = await someone();
    const body = { username: person.user.username, password: 'wrong one' };
    const codes = [];
    for (let n = 0; n < 5; n += 1) codes.push((await refusal(world.url, null, 'login', { body })).code);
    expect(codes).toEqual(['unauthenticated', 'unauthenticated', 'unauthenticated', 'rate_limited', 'rate_limited']);
  });

  it('refuse bodies over 512 KiB', async () => {
    const body = { clientId: '1', content: { type: 'text', text: 'x'.repeat(LIMITS.bodyMaxBytes) } };
    const problem = await ann.refusedIn(id, 'send', { body });
    expect(problem).toMatchObject({ code: 'too_large', status: 413, retryable: false });
  });

  it('refuse frames over 256 KiB by acknowledgement, and keep the socket', async () => {
    const { person, id: own } = await someone();
    const phone = await person.connect();
    const large = { type: 'text', text: 'x'.repeat(LIMITS.frameMaxBytes) };
    const refused = await phone.refused('message.send', { conversationId: own, clientId: '1', content: large });
    expect(refused).toMatchObject({ code: 'too_large', retryable: ERRORS.too_large.retryable });
    expect((await phone.say(own, '1', 'smaller')).message.seq).toBe(1);
  });

  it('close a socket after ten refused frames within a minute', async () => {
    const { person } = await someone();
    const socket = await RawSocket.session(await person.call('session', { body: { deviceId: 'rude' } }));
    for (let n = 0; n < 9; n += 1) {
      expect(await socket.ask('no.such.event', '{}')).toMatchObject({ ok: false, error: { code: 'invalid' } });
    }
    expect(socket.webSocket.readyState).toBe(socket.webSocket.OPEN);
    expect(await socket.ask('no.such.event', '{}')).toMatchObject({ ok: false });
    await expect(socket.closed).resolves.toBe(4008);
  });

  it('cut off a client that sends what no frame may be', async () => {
    const violations = [
      '42["message.send"',
      '999',
      '4',
      '42["a",{"_placeholder":true,"num":0}]',
      '45{}',
      '41',
      'x'.repeat(2 * 1024 * 1024),
    ];
    for (const frame of violations) {
      const { person } = { person: await world.person() };
      const socket = await RawSocket.session(await person.call('session', { body: { deviceId: 'odd' } }));
      socket.send(frame);
      // Closed, or ignored: whatever it is, the server goes on.
      const closed = await Promise.race([
        socket.closed.then(() => true),
        socket.ask('no.such.event', '{}').then(() => false),
      ]);
      expect([true, false]).toContain(closed);
      socket.close();
    }
    expect((await fetch(`${world.url}/readyz`)).status).toBe(200);
  });

  it('bound what one call may ask for', async () => {
    const { person, id: own } = await someone();
    const pages = [
      ['messages', { query: { limit: 201 } }, 'limit'],
      ['members', { query: { limit: 1_001 } }, 'limit'],
      ['messages', { query: { limit: 0 } }, 'limit'],
      ['messages', { query: { before: 0 } }, 'before'],
      ['messages', { query: { cursor: 'x' } }, 'cursor'],
    ] as const;
    for (const [name, input, path] of pages) {
      expect((await person.refusedIn(own, name, input)).issues).toContainEqual(expect.objectContaining({ path }));
    }
    const cursors = Object.fromEntries(Array.from({ length: 5_001 }, (_, n) => [`c${n}`, 0]));
    expect((await person.refused('sync', { body: { cursors } })).code).toBe('invalid');
    expect((await person.refused('sync', { body: { cursors: {}, limit: 1_001 } })).issues).toContainEqual(
      expect.objectContaining({ path: 'limit' }),
    );
  });
});
