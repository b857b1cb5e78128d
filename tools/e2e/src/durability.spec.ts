import { expect, it } from '@jest/globals';

import type { Session } from './session.js';
import { scenarioWithOwnServer } from './world.js';

const CRASHES = 3;
const SENDERS = 5;

interface Sent {
  readonly clientId: string;
  readonly seq: number | null;
}

scenarioWithOwnServer(
  'durability',
  'it kills the server',
  () => ({}),
  (world) => {
    /** Sends until the connection is gone; what was not acknowledged may or may not have become a message. */
    async function sendUntilGone(session: Session, conversationId: string, run: number, sent: Sent[]): Promise<void> {
      let gone = false;
      void session.closed.then(() => {
        gone = true;
      });
      for (let n = 0; !gone; n += 1) {
        const clientIds = Array.from({ length: 5 }, (_, at) => `${run}-${n}-${at}`);
        const batch = await Promise.all(
          clientIds.map(async (clientId): Promise<Sent> => {
            const acknowledged = session.say(conversationId, clientId, `text of ${clientId}`).then(
              ({ message }) => message.seq,
              () => null,
            );
            return { clientId, seq: await Promise.race([acknowledged, session.closed.then(() => null)]) };
          }),
        );
        sent.push(...batch);
      }
    }

    it('keeps every acknowledged message once, at its place, through kill -9 under load', async () => {
      const people = await world.people(SENDERS);
      const [first, ...others] = people;
      const { id } = await first.create('channel', others);
      const sent = people.map((): Sent[] => []);
      const watcher = { cursor: 0, seqs: [] as number[] };
      for (let run = 0; run < CRASHES; run += 1) {
        const sessions = await Promise.all(people.map((person) => person.connect('sending')));
        const watching = await first.connect('watching');
        const sending = Promise.all(sessions.map((session, at) => sendUntilGone(session, id, run, sent[at] ?? [])));
        await watching.until('load', () => watching.seqs(id).length >= 300, 10_000);
        await world.server.kill();
        await sending;
        await world.server.start();
        // What the watcher saw live, and what it fetches, is the log without a hole.
        const caughtUp = [];
        let { cursor } = watcher;
        for (let more = true; more;) {
          const page = await first.sync(id, cursor, 1_000);
          caughtUp.push(...page.entries.map(({ seq }) => seq));
          ({ cursor, hasMore: more } = page);
        }
        expect(caughtUp).toEqual(caughtUp.map((_, n) => watcher.cursor + n + 1));
        const live = watching.seqs(id);
        expect(live).toEqual(live.map((_, n) => (live[0] ?? 0) + n));
        expect(live.at(-1) ?? 0).toBeLessThanOrEqual(cursor);
        watcher.cursor = cursor;
        watcher.seqs.push(...caughtUp);
      }

      const bySender = new Map<string, number[]>();
      let cursor = 0;
      for (let more = true; more;) {
        const page = await first.sync(id, cursor, 1_000);
        for (const entry of page.entries) {
          if (entry.kind !== 'message') throw new Error(`What is a ${entry.kind} doing here?`);
          const key = `${entry.senderId} ${entry.clientId ?? ''}`;
          bySender.set(key, [...(bySender.get(key) ?? []), entry.seq]);
          expect(entry.content).toEqual({ type: 'text', text: `text of ${entry.clientId ?? ''}` });
        }
        ({ cursor, hasMore: more } = page);
      }
      const acknowledged = sent.flat().filter(({ seq }) => seq !== null);
      expect(acknowledged.length).toBeGreaterThan(CRASHES * 100);
      people.forEach((person, at) => {
        for (const { clientId, seq } of sent[at] ?? []) {
          const found = bySender.get(`${person.id} ${clientId}`) ?? [];
          if (seq !== null) expect([clientId, found]).toEqual([clientId, [seq]]);
          expect(found.length).toBeLessThanOrEqual(1);
        }
      });

      // A client that never learned what became of its message sends it again: once more, or for the first time.
      const session = await first.connect('resending');
      const resent = sent[0] ?? [];
      for (const { clientId, seq } of [...resent.slice(0, 20), ...resent.filter((each) => each.seq === null)]) {
        const known = bySender.get(`${first.id} ${clientId}`)?.[0];
        const again = await session.say(id, clientId, `text of ${clientId}`);
        expect(again.duplicate).toBe(known === undefined ? undefined : true);
        expect(again.message.seq).toBe(seq ?? known ?? again.message.seq);
      }
    }, 40_000);

    it('keeps accounts, members, settings, positions and deletions, too', async () => {
      const [ann, bob, carl] = await world.people(3);
      const { id } = await ann.create('group', [bob]);
      await ann.say(id, 'one');
      await ann.say(id, 'secret');
      await ann.in(id, 'addMembers', { body: { userIds: [carl.id] } });
      await ann.in(id, 'updateConversation', { body: { name: 'Survivors' } });
      await ann.in(id, 'deleteMessage', { params: { seq: 2 } });
      await bob.in(id, 'markRead', { body: { seq: 1 } });
      await ann.in(id, 'removeMember', { params: { userId: carl.id } });
      await world.server.kill();
      await world.server.start();
      expect(await bob.in(id, 'conversation')).toMatchObject({
        name: 'Survivors',
        memberCount: 2,
        readSeq: 1,
        unread: 0,
        head: 6,
      });
      expect((await bob.in(id, 'messages')).items).toMatchObject([{ seq: 1 }, { seq: 2, content: null }]);
      expect((await carl.refusedIn(id, 'messages')).code).toBe('not_found');
      expect(await (await ann.signInAgain()).call('me')).toEqual(ann.user);
    });

    it('stops when asked to: clients are told when to come back, and nothing is lost', async () => {
      const [ann, bob] = await world.people(2);
      const { id } = await ann.create('direct', [bob]);
      const phone = await ann.connect();
      await phone.say(id, 'last', 'last words');
      process.kill(world.server.pid, 'SIGTERM');
      await expect(phone.next('server.draining')).resolves.toMatchObject({ reconnectAfterMs: expect.any(Number) });
      await expect(phone.closed).resolves.toMatchObject({ code: 1012 });
      await world.server.exited;
      await world.server.start();
      expect((await bob.sync(id)).entries).toMatchObject([{ seq: 1, clientId: 'last' }]);
    });
  },
);
