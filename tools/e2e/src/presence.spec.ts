import { expect, it } from '@jest/globals';

import type { Session } from './session.js';
import { itWithOwnServer, scenario } from './world.js';

const OFFLINE_AFTER_MS = 1_000;
const SOON = 'offline has to come soon';
const settings = () => ({ PARLEY_PRESENCE_OFFLINE_AFTER_MS: String(OFFLINE_AFTER_MS) });

scenario(
  'presence and typing',
  (world) => {
    const statusOf = async (session: Session, userId: string) =>
      (await session.ask('presence.subscribe', { userIds: [userId] })).presences[0]?.status;

    itWithOwnServer('shows who is online, now and on change', SOON, async () => {
      const [ann, bob] = await world.people(2);
      await ann.create('direct', [bob]);
      const watching = await ann.connect();
      expect(await watching.ask('presence.subscribe', { userIds: [bob.id] })).toEqual({
        presences: [{ userId: bob.id, status: 'offline', lastSeenAt: null }],
      });
      const phone = await bob.connect();
      await expect(watching.next('presence.changed')).resolves.toMatchObject({ userId: bob.id, status: 'online' });
      phone.close();
      const offline = await watching.next('presence.changed', () => true, 8_000);
      expect(offline).toMatchObject({ userId: bob.id, status: 'offline', lastSeenAt: expect.any(String) });
    });

    itWithOwnServer('tells nobody of a flicker', SOON, async () => {
      const [ann, bob] = await world.people(2);
      await ann.create('direct', [bob]);
      const watching = await ann.connect();
      await statusOf(watching, bob.id);
      const phone = await bob.connect();
      await watching.next('presence.changed', ({ status }) => status === 'online');
      phone.close();
      const again = await bob.connect();
      again.close();
      // The next thing that is heard is that they are gone for good.
      const next = await watching.next('presence.changed', () => true, 8_000);
      expect(next).toMatchObject({ userId: bob.id, status: 'offline' });
    });

    itWithOwnServer('keeps whoever is connected online', SOON, async () => {
      const [ann, bob, carl] = await world.people(3);
      await ann.create('group', [bob, carl]);
      const watching = await ann.connect();
      await watching.ask('presence.subscribe', { userIds: [bob.id, carl.id] });
      const leaving = await carl.connect();
      await bob.connect();
      const about = (userId: string) =>
        watching.all('presence.changed').filter((change) => change['userId'] === userId);
      await watching.next('presence.changed', ({ userId }) => userId === bob.id);
      leaving.close();
      await watching.next(
        'presence.changed',
        ({ userId, status }) => userId === carl.id && status === 'offline',
        8_000,
      );
      expect(about(bob.id).map(({ status }) => status)).toEqual(['online']);
      expect(await statusOf(watching, bob.id)).toBe('online');
    });

    it('leaves strangers out, without a word', async () => {
      const [ann, bob, stranger] = await world.people(3);
      await ann.create('direct', [bob]);
      await stranger.connect();
      const watching = await ann.connect();
      const { presences } = await watching.ask('presence.subscribe', { userIds: [stranger.id, bob.id, 'nobody'] });
      expect(presences.map(({ userId }) => userId)).toEqual([bob.id]);
    });

    it('is quiet after an unsubscription', async () => {
      const [ann, bob, carl] = await world.people(3);
      await ann.create('group', [bob, carl]);
      const watching = await ann.connect();
      await watching.ask('presence.subscribe', { userIds: [bob.id, carl.id] });
      expect(await watching.ask('presence.unsubscribe', { userIds: [bob.id] })).toEqual({ presences: [] });
      await bob.connect();
      await carl.connect();
      await watching.next('presence.changed', ({ userId }) => userId === carl.id);
      expect(watching.all('presence.changed').map(({ userId }) => userId)).not.toContain(bob.id);
    });

    it.each(['direct', 'group', 'channel'] as const)(
      'in a %s shows typing to the others, once in a while',
      async (type) => {
        const [ann, bob] = await world.people(2);
        const { id } = await ann.create(type, [bob]);
        const [phone, laptop, his] = [await ann.connect('phone'), await ann.connect('laptop'), await bob.connect()];
        for (let n = 0; n < 5; n += 1) await phone.ask('typing.start', { conversationId: id });
        await expect(his.next('typing.start')).resolves.toEqual({ conversationId: id, userId: ann.id });
        await phone.ask('typing.stop', { conversationId: id });
        await expect(his.next('typing.stop')).resolves.toEqual({ conversationId: id, userId: ann.id });
        await ann.say(id, 'sentinel');
        for (const session of [phone, laptop, his]) await session.next('message.new');
        expect(his.all('typing.start')).toHaveLength(1);
        for (const own of [phone, laptop]) {
          expect([...own.all('typing.start'), ...own.all('typing.stop')]).toEqual([]);
        }
      },
    );

    it('shows at most one start in 3 s, also when it was stopped between', async () => {
      const [ann, bob] = await world.people(2);
      const { id } = await ann.create('direct', [bob]);
      const [phone, his] = [await ann.connect(), await bob.connect()];
      for (let n = 0; n < 4; n += 1) {
        await phone.ask('typing.start', { conversationId: id });
        await phone.ask('typing.stop', { conversationId: id });
      }
      await ann.say(id, 'sentinel');
      await his.next('message.new');
      expect(his.all('typing.start')).toHaveLength(1);
    });

    it('stops typing by itself after 6 s', async () => {
      const [ann, bob] = await world.people(2);
      const { id } = await ann.create('direct', [bob]);
      const [phone, his] = [await ann.connect(), await bob.connect()];
      await phone.ask('typing.start', { conversationId: id });
      await his.next('typing.start');
      const startedMs = performance.now();
      await expect(his.next('typing.stop', () => true, 8_000)).resolves.toEqual({ conversationId: id, userId: ann.id });
      expect(performance.now() - startedMs).toBeGreaterThan(5_000);
    });
  },
  settings,
);
