import { expect, it } from '@jest/globals';

import { itWithOwnServer, scenario } from './world.js';

scenario('event streams and polls', (world) => {
  async function talk() {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('direct', [bob]);
    return { ann, bob, id };
  }

  it('carry the same events as a socket', async () => {
    const { ann, bob, id } = await talk();
    const [socket, stream] = [await bob.connect(), await bob.stream()];
    let { cursor } = await bob.poll();
    await expect(stream.next('session.ready')).resolves.toMatchObject({ userId: bob.id });
    await ann.say(id, 'one');
    await ann.in(id, 'addReaction', { params: { seq: 1, emoji: '👍' } });
    await ann.in(id, 'deleteMessage', { params: { seq: 1 } });
    const polled: unknown[] = [];
    while (polled.length < 3) {
      const answer = await bob.poll({ cursor, timeoutMs: 5_000 });
      ({ cursor } = answer);
      polled.push(...answer.events.map(({ event, data }) => [event, data]));
    }
    await socket.next('message.deleted');
    await stream.next('message.deleted');
    const seen = socket.events.slice(1).map(({ event, data }) => [event, data]);
    expect(seen.map(([event]) => event)).toEqual(['message.new', 'reaction.new', 'message.deleted']);
    expect(stream.events.slice(1).map(({ event, data }) => [event, data])).toEqual(seen);
    expect(polled).toEqual(seen);
  });

  it.each(['Last-Event-ID', '?cursor='])(
    'resume after a break with %s, without loss and without repetition',
    async (how) => {
      const { ann, bob, id } = await talk();
      const first = await bob.stream();
      await ann.say(id, 'one');
      await first.next('message.new');
      const at = first.cursor ?? '';
      first.close();
      await first.ended;
      for (let n = 2; n <= 20; n += 1) await ann.say(id, `${n}`);
      const second = await bob.stream(how === '?cursor=' ? { cursor: at } : { lastEventId: at });
      await ann.say(id, 'last');
      await second.next('message.new', ({ seq }) => seq === 21);
      expect(second.seqs(id)).toEqual(Array.from({ length: 20 }, (_, n) => n + 2));
      expect(second.all('resync')).toEqual([]);
      expect(second.all('session.ready')).toEqual([]);
    },
  );

  it('answer a poll at once when it has no cursor, and when something is due', async () => {
    const { ann, bob, id } = await talk();
    const first = await bob.poll();
    expect(first.events).toEqual([]);
    await ann.say(id, 'one');
    const { events } = await bob.poll({ cursor: first.cursor, timeoutMs: 20_000 });
    expect(events).toMatchObject([{ event: 'message.new', data: { seq: 1 } }]);
  });

  it('hold a poll until something happens, or until its time is up', async () => {
    const { ann, bob, id } = await talk();
    const { cursor } = await bob.poll();
    const startedMs = performance.now();
    const nothing = await bob.poll({ cursor, timeoutMs: 300 });
    expect(nothing.events).toEqual([]);
    expect(performance.now() - startedMs).toBeGreaterThan(290);
    const held = bob.poll({ cursor: nothing.cursor, timeoutMs: 20_000 });
    await ann.say(id, 'now');
    expect((await held).events).toMatchObject([{ event: 'message.new', data: { seq: 1 } }]);
    // The same cursor again gives the same again: an answer that was lost is not lost.
    expect((await bob.poll({ cursor: nothing.cursor })).events).toEqual((await held).events);
  });

  it('say resync for a cursor that is unknown, then go on', async () => {
    const { ann, bob, id } = await talk();
    const stale = `${'nobody'}~${'nothing'}~7`;
    const stream = await bob.stream({ lastEventId: stale });
    await stream.next('resync');
    await ann.say(id, 'one');
    await stream.next('message.new');
    const poll = await bob.poll({ cursor: stale });
    expect(poll.events.map(({ event }) => event)).toContain('resync');
    await ann.say(id, 'two');
    expect((await bob.poll({ cursor: poll.cursor, timeoutMs: 5_000 })).events).toMatchObject([
      { event: 'message.new' },
    ]);
    const garbage = await bob.poll({ cursor: 'garbage' });
    expect(garbage.events.map(({ event }) => event)).toContain('resync');
  });

  it('say resync for a cursor that is too old', async () => {
    const { ann, bob, id } = await talk();
    const { cursor } = await bob.poll();
    const phone = await ann.connect();
    // More than a stream keeps for a reader who is away.
    for (let from = 0; from < 2_200; from += 200) {
      await Promise.all(Array.from({ length: 200 }, (_, n) => phone.say(id, `${from + n}`, 'x')));
    }
    const { events } = await bob.poll({ cursor });
    expect(events[0]?.event).toBe('resync');
    const { changed } = await bob.call('sync', { body: { cursors: { [id]: 0 }, limit: 1_000 } });
    expect(changed[0]).toMatchObject({ cursor: 1_000, hasMore: true, head: 2_200 });
  });

  itWithOwnServer(
    'say resync after a restart of the server, whose streams are gone',
    'it restarts the server',
    async () => {
      const { ann, bob, id } = await talk();
      const stream = await bob.stream();
      await ann.say(id, 'one');
      await stream.next('message.new');
      await world.server.kill();
      await stream.ended;
      await world.server.start();
      const again = await bob.stream({ lastEventId: stream.cursor ?? '' });
      await again.next('resync');
      expect((await bob.sync(id)).entries).toHaveLength(1);
    },
  );

  it('belong to one person: nobody resumes another’s', async () => {
    const { ann, bob, id } = await talk();
    const mine = await ann.connect();
    const { cursor } = await bob.poll();
    const { id: other } = await bob.create('group');
    await bob.say(other, 'not for ann');
    const response = await fetch(`${world.url}/v1/events/poll?cursor=${cursor}`, {
      headers: { authorization: `Bearer ${ann.accessToken}` },
    });
    expect(await response.text()).not.toContain('not for ann');
    await bob.say(id, 'for ann');
    await mine.next('message.new');
  });

  it('refuse those without a token, and wrong parameters', async () => {
    const { bob } = await talk();
    for (const path of ['/v1/events', '/v1/events/poll']) {
      const response = await fetch(`${world.url}${path}`);
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ code: 'unauthenticated' });
    }
    for (const query of ['timeoutMs=30001', 'timeoutMs=x', `cursor=${'x'.repeat(300)}`, 'bogus=1']) {
      const response = await fetch(`${world.url}/v1/events/poll?${query}`, {
        headers: { authorization: `Bearer ${bob.accessToken}`, 'x-request-id': 'mine-1' },
      });
      const problem = (await response.json()) as Record<string, unknown>;
      expect([query, response.status, problem['code']]).toEqual([query, 400, 'invalid']);
      expect([problem['requestId'], response.headers.get('x-request-id')]).toEqual(['mine-1', 'mine-1']);
    }
  });
});
