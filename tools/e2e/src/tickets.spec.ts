import { expect, it } from '@jest/globals';
import { ErrorBody } from '@parley/contracts';

import type { Person } from './person.js';
import { RawSocket } from './raw-socket.js';
import { Session, type SessionAddress } from './session.js';
import { itWithOwnServer, scenario } from './world.js';

const settings = () => ({ PARLEY_CONNECT_TIMEOUT_MS: '500' });

scenario(
  'tickets',
  (world) => {
    const assignment = (person: Person) => person.call('session', { body: { deviceId: 'phone' } });

    async function refused(address: SessionAddress, transport?: 'polling'): Promise<ErrorBody> {
      const error: unknown = await Session.open('intruder', address, transport).then(
        (session) => {
          session.close();
          return new Error('The ticket was accepted');
        },
        (failure: unknown) => failure,
      );
      if (!(error instanceof Error) || !('data' in error)) throw error;
      return ErrorBody.parse(error.data);
    }

    it.each(['websocket', 'polling'] as const)(
      'open a session over %s, which the server speaks in first',
      async (transport) => {
        const person = await world.person();
        const session = await person.connect('tablet', transport);
        const [first] = session.events;
        expect(first?.event).toBe('session.ready');
        expect(first?.data).toMatchObject({ userId: person.id, deviceId: 'tablet' });
        expect(first?.data['limits']).toMatchObject({ frameMaxBytes: 262_144, textMaxUnits: 40_000 });
        const { id } = await person.create('group');
        await expect(session.say(id, '1', 'hello')).resolves.toMatchObject({ message: { seq: 1 } });
      },
    );

    it('name the chat server and live for 60 s', async () => {
      const person = await world.person();
      const { expiresAt, serverId, path } = await assignment(person);
      expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(50_000);
      expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(60_000);
      expect(path).toContain(serverId);
    });

    it.each(['direct', 'channel'] as const)(
      'let `session.ready` come before everything else, also while messages pour into a %s',
      async (type) => {
        const [ann, bob] = await world.people(2);
        const { id } = await ann.create(type, [bob]);
        const phone = await ann.connect();
        const pouring = Promise.all(Array.from({ length: 200 }, (_, n) => phone.say(id, `pour-${n}`, `${n}`)));
        const sessions = await Promise.all(Array.from({ length: 5 }, (_, n) => bob.connect(`device-${n}`)));
        await pouring;
        await phone.say(id, 'last', 'last');
        for (const session of sessions) {
          await session.next('message.new', ({ clientId }) => clientId === 'last');
          expect(session.events[0]?.event).toBe('session.ready');
          const seqs = session.seqs(id);
          expect(seqs).toEqual(seqs.map((_, n) => (seqs[0] ?? 0) + n));
        }
      },
    );

    it('are good for one use', async () => {
      const person = await world.person();
      const address = await assignment(person);
      const session = await Session.open('first', address);
      expect((await refused(address)).code).toBe('unauthenticated');
      await session.ask('sync', { cursors: {} });
      session.close();
    });

    it('are good for one of two connections that come at once', async () => {
      const address = await assignment(await world.person());
      const opened = await Promise.allSettled([Session.open('one', address), Session.open('two', address)]);
      expect(opened.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      for (const each of opened) if (each.status === 'fulfilled') each.value.close();
    });

    it('are refused when they are garbage, forged, missing, or an access token', async () => {
      const person = await world.person();
      const address = await assignment(person);
      const [header, payload] = address.ticket.split('.') as [string, string];
      const unsigned = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url');
      const forgeries = [
        'garbage',
        '',
        `${header}.${payload}.AAAA`,
        `${unsigned}.${payload}.`,
        person.accessToken,
        'x'.repeat(10_000),
      ];
      for (const ticket of forgeries) {
        expect(await refused({ ...address, ticket })).toMatchObject({ code: 'unauthenticated', retryable: false });
      }
      expect((await refused({ ...address, ticket: undefined as unknown as string }, 'polling')).code).toBe(
        'unauthenticated',
      );
      expect((await refused({ ...address, ticket: { a: 1 } as unknown as string })).code).toBe('unauthenticated');
    });

    it('say by a request id which refusal it was', async () => {
      const address = await assignment(await world.person());
      expect((await refused({ ...address, ticket: 'garbage' })).requestId).not.toBe('');
    });

    it('close a connection that shows none in time', async () => {
      const address = await assignment(await world.person());
      const silent = await RawSocket.open(address);
      const startedMs = performance.now();
      await silent.closed;
      expect(performance.now() - startedMs).toBeLessThan(7_000);
    });

    it('close a connection that talks without having shown one', async () => {
      const address = await assignment(await world.person());
      const rude = await RawSocket.open(address);
      rude.send('421["message.send",{}]');
      await rude.closed;
      expect(rude.frames.filter((frame) => frame.startsWith('4'))).toEqual([]);
    });

    itWithOwnServer('do not open another chat server than the one they name', 'it restarts the server', async () => {
      const person = await world.person();
      const before = await assignment(person);
      const elsewhere = await fetch(`${world.url}/v1/chat/nobody/socket.io/?EIO=4&transport=polling`);
      expect(elsewhere.status).toBe(404);
      await world.server.kill();
      await world.server.start();
      const after = await assignment(person);
      expect(after.serverId).not.toBe(before.serverId);
      expect((await refused({ ...after, ticket: before.ticket })).code).toBe('unauthenticated');
      await expect(Session.open('right', after).then((session) => session.close())).resolves.toBeUndefined();
    });
  },
  settings,
);
