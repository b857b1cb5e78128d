import { expect, it } from '@jest/globals';

import { scenario } from './world.js';

scenario('reading', (world) => {
  const unreadOf = (conversation: { unread: number }) => conversation.unread;

  it('counts exactly: not what is one’s own, and not what was deleted', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group', [bob]);
    for (let n = 1; n <= 5; n += 1) await ann.say(id, `${n}`);
    await bob.say(id, 'mine');
    await ann.in(id, 'addReaction', { params: { seq: 1, emoji: '👍' } });
    await ann.in(id, 'editMessage', { params: { seq: 1 }, body: { content: { type: 'text', text: 'edited' } } });
    await ann.in(id, 'updateConversation', { body: { topic: 'not a message' } });
    // Sending does not move the position, and one's own is never counted.
    expect(await bob.in(id, 'conversation')).toMatchObject({ head: 9, readSeq: 0, unread: 5 });
    expect(await ann.in(id, 'conversation')).toMatchObject({ readSeq: 0, unread: 1 });
    await ann.in(id, 'deleteMessage', { params: { seq: 2 } });
    expect(unreadOf(await bob.in(id, 'conversation'))).toBe(4);
    expect(await bob.in(id, 'markRead', { body: { seq: 3 } })).toEqual({ readSeq: 3, unread: 2 });
    await ann.in(id, 'deleteMessage', { params: { seq: 1 } });
    expect(unreadOf(await bob.in(id, 'conversation'))).toBe(2);
    await ann.in(id, 'deleteMessage', { params: { seq: 4 } });
    await ann.in(id, 'deleteMessage', { params: { seq: 4 } });
    expect(unreadOf(await bob.in(id, 'conversation'))).toBe(1);
    const [listed] = (await bob.call('conversations')).items;
    expect(listed).toMatchObject({ id, unread: 1, readSeq: 3 });
    const laptop = await bob.connect();
    expect(await laptop.ask('read.mark', { conversationId: id, seq: 6 })).toEqual({ readSeq: 6, unread: 0 });
  });

  it('only moves forward, to the head at most, unless someone marks unread', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('direct', [bob]);
    for (let n = 1; n <= 6; n += 1) await ann.say(id, `${n}`);
    const phone = await bob.connect();
    expect(await phone.ask('read.mark', { conversationId: id, seq: 4 })).toEqual({ readSeq: 4, unread: 2 });
    expect(await phone.ask('read.mark', { conversationId: id, seq: 2 })).toEqual({ readSeq: 4, unread: 2 });
    expect(await bob.in(id, 'markRead', { body: { seq: 1_000 } })).toEqual({ readSeq: 6, unread: 0 });
    expect(await bob.in(id, 'markUnread', { body: { seq: 3 } })).toEqual({ readSeq: 2, unread: 4 });
    expect(await bob.in(id, 'conversation')).toMatchObject({ readSeq: 2, unread: 4 });
    expect(await phone.ask('delivered.mark', { conversationId: id, seq: 6 })).toEqual({ readSeq: 2, unread: 4 });
    await ann.say(id, 'seven');
    expect(unreadOf(await bob.in(id, 'conversation'))).toBe(5);
  });

  it('never counts more than one may see', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group');
    for (let n = 1; n <= 4; n += 1) await ann.say(id, `${n}`);
    await ann.in(id, 'addMembers', { body: { userIds: [bob.id] } });
    await ann.say(id, 'six');
    expect(await bob.in(id, 'markUnread', { body: { seq: 1 } })).toEqual({ readSeq: 5, unread: 1 });
  });

  it('ends at the furthest of positions that come at once', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('direct', [bob]);
    for (let n = 1; n <= 20; n += 1) await ann.say(id, `${n}`);
    const phone = await bob.connect();
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => phone.ask('read.mark', { conversationId: id, seq: ((n * 7) % 20) + 1 })),
    );
    expect(await bob.in(id, 'conversation')).toMatchObject({ readSeq: 20, unread: 0 });
  });

  it.each(['direct', 'group'] as const)('in a %s shows on one’s other devices and to the members', async (type) => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create(type, [bob]);
    await ann.say(id, 'one');
    const [phone, laptop, hers] = [await bob.connect('phone'), await bob.connect('laptop'), await ann.connect()];
    await phone.ask('delivered.mark', { conversationId: id, seq: 1 });
    await phone.ask('read.mark', { conversationId: id, seq: 1 });
    for (const session of [laptop, hers]) {
      expect(await session.next('delivered.updated')).toEqual({ conversationId: id, userId: bob.id, seq: 1 });
      expect(await session.next('read.updated')).toEqual({ conversationId: id, userId: bob.id, seq: 1 });
    }
    // What did not move is no news.
    await phone.ask('read.mark', { conversationId: id, seq: 1 });
    await ann.say(id, 'two');
    await phone.ask('read.mark', { conversationId: id, seq: 2 });
    await hers.next('read.updated', ({ seq }) => seq === 2);
    expect(hers.all('read.updated')).toHaveLength(2);
    expect(phone.all('read.updated')).toEqual([]);
  });

  it('says who has received and who has read', async () => {
    const people = await world.people(4);
    const [ann, bob, carl, dora] = people;
    const { id } = await ann.create('group', [bob, carl]);
    await ann.say(id, 'one');
    const receipts = (seq: number) => ann.in(id, 'receipts', { params: { seq } });
    expect(await receipts(1)).toEqual({ deliveredCount: 0, readCount: 0, items: [], nextCursor: null });
    const phone = await carl.connect();
    await phone.ask('delivered.mark', { conversationId: id, seq: 1 });
    await bob.in(id, 'markRead', { body: { seq: 1 } });
    await ann.in(id, 'markRead', { body: { seq: 1 } });
    // Whoever came later has not received what was said before.
    await ann.in(id, 'addMembers', { body: { userIds: [dora.id] } });
    await dora.in(id, 'markRead', { body: { seq: 2 } });
    const { items, ...counts } = await receipts(1);
    expect(counts).toEqual({ deliveredCount: 2, readCount: 1, nextCursor: null });
    expect(new Map(items.map((item) => [item.userId, item]))).toEqual(
      new Map<string, unknown>([
        [bob.id, { userId: bob.id, deliveredAt: expect.any(String), readAt: expect.any(String) }],
        [carl.id, { userId: carl.id, deliveredAt: expect.any(String) }],
      ]),
    );
  });

  it('in a channel tells one’s own devices only; the others count and page', async () => {
    const [ann, bob, ...others] = await world.people(7);
    const { id } = await ann.create('channel', [bob, ...others]);
    const sentinel = await ann.create('direct', [bob]);
    await ann.say(id, 'one');
    const [phone, laptop, hers] = [await bob.connect('phone'), await bob.connect('laptop'), await ann.connect()];
    await phone.ask('read.mark', { conversationId: id, seq: 1 });
    await expect(laptop.next('read.updated')).resolves.toEqual({ conversationId: id, userId: bob.id, seq: 1 });
    await bob.say(sentinel.id, 'sentinel');
    await hers.next('message.new', ({ conversationId }) => conversationId === sentinel.id);
    expect(hers.all('read.updated')).toEqual([]);
    await Promise.all(others.map((other) => other.in(id, 'markRead', { body: { seq: 1 } })));
    const read: string[] = [];
    let cursor: string | null = null;
    do {
      const page: { items: { userId: string }[]; nextCursor: string | null; readCount: number } = await ann.in(
        id,
        'receipts',
        {
          params: { seq: 1 },
          query: { limit: 2, ...(cursor === null ? {} : { cursor }) },
        },
      );
      expect(page.readCount).toBe(6);
      read.push(...page.items.map(({ userId }) => userId));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(read).toHaveLength(6);
    expect(new Set(read)).toEqual(new Set([bob.id, ...others.map((other) => other.id)]));
  });
});
