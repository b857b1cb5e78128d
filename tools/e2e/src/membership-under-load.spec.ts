import { expect, it } from '@jest/globals';

import type { Session } from './session.js';
import { scenario } from './world.js';

const ROUNDS = 5;

scenario('members who come and go while others talk', (world) => {
  /** Talks until told to stop; every message is acknowledged before the next. */
  function talking(session: Session, conversationId: string, name: string) {
    let stop = false;
    const done = (async () => {
      for (let n = 0; !stop; n += 1) {
        await Promise.all(
          Array.from({ length: 5 }, (_, at) => session.say(conversationId, `${name}-${n}-${at}`, `${n}`)),
        );
      }
    })();
    return {
      stop: () => {
        stop = true;
        return done;
      },
    };
  }

  it.each(['group', 'channel'] as const)('of a %s receive exactly what their membership covers', async (type) => {
    const [owner, ann, bob, guest] = await world.people(4);
    const { id } = await owner.create(type, [ann, bob], { history: 'joined' });
    const sentinel = await owner.create('direct', [guest]);
    const phones = [await guest.connect('phone'), await guest.connect('laptop'), await guest.stream()];
    const talkers = [talking(await ann.connect(), id, 'ann'), talking(await bob.connect(), id, 'bob')];
    const hears = await owner.connect();
    const intervals: [number, number][] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const { seq: joinedSeq } = await owner.in(id, 'addMembers', { body: { userIds: [guest.id] } });
      await hears.until('talk', () => (hears.seqs(id).at(-1) ?? 0) > joinedSeq + 10);
      await owner.in(id, 'removeMember', { params: { userId: guest.id } });
      const removed = await hears.next('member.removed');
      const leftSeq = Number(removed['seq']);
      intervals.push([joinedSeq, leftSeq]);
      await hears.until('talk', () => (hears.seqs(id).at(-1) ?? 0) > leftSeq + 10);
    }
    await Promise.all(talkers.map((talker) => talker.stop()));
    await owner.say(sentinel.id, 'sentinel');
    const covered = intervals.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, n) => from + n));
    for (const session of phones) {
      await session.next('message.new', ({ conversationId }) => conversationId === sentinel.id);
      expect(session.seqs(id)).toEqual(covered);
    }
    const heard = hears.seqs(id);
    expect(heard).toEqual(heard.map((_, n) => n + (heard[0] ?? 0)));
  });

  it('leave nobody a hole to read through after they are gone', async () => {
    const [owner, guest] = await world.people(2);
    const { id } = await owner.create('channel', [guest]);
    const talker = talking(await owner.connect(), id, 'owner');
    const phone = await guest.connect();
    const reads = ['messages', 'members', 'pins', 'conversation'] as const;
    await phone.next('message.new');
    const { seq } = await phone
      .ask('message.send', {
        ...{ conversationId: id, clientId: 'mine', content: { type: 'text', text: 'mine' } },
      })
      .then(({ message }) => message);
    await owner.in(id, 'removeMember', { params: { userId: guest.id } });
    for (const name of reads) expect((await guest.refusedIn(id, name)).code).toBe('not_found');
    expect(
      (await phone.refused('message.edit', { conversationId: id, seq, content: { type: 'text', text: 'x' } })).code,
    ).toBe('not_found');
    await talker.stop();
  });
});
