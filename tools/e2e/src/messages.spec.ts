import { expect, it } from '@jest/globals';

import type { Person } from './person.js';
import { scenario } from './world.js';

scenario('messages', (world) => {
  const text = (value: string) => ({ type: 'text', text: value });

  async function direct(): Promise<{ ann: Person; bob: Person; id: string }> {
    const [ann, bob] = await world.people(2);
    return { ann, bob, id: (await ann.create('direct', [bob])).id };
  }

  it('are acknowledged with their place, and reach the other person as an entry', async () => {
    const { ann, bob, id } = await direct();
    const [phone, laptop] = [await ann.connect(), await bob.connect()];
    const acknowledged = await phone.say(id, 'c-1', 'hello');
    expect(acknowledged).toEqual({
      message: {
        ...{ conversationId: id, clientId: 'c-1', senderId: ann.id, seq: 1 },
        ...{ id: acknowledged.message.id, sentAt: acknowledged.message.sentAt },
      },
    });
    expect(await laptop.next('message.new')).toEqual({
      ...acknowledged.message,
      kind: 'message',
      content: text('hello'),
    });
    expect((await ann.sync(id)).entries).toEqual([
      { ...acknowledged.message, kind: 'message', content: text('hello') },
    ]);
  });

  it('reach every other device of the author, and not the socket that sent them', async () => {
    const { ann, bob, id } = await direct();
    const phone = await ann.connect('phone');
    const others = [
      await ann.connect('laptop'),
      await ann.connect('tablet', 'polling'),
      await ann.stream(),
      await bob.connect(),
    ];
    await phone.say(id, '1', 'from the phone');
    for (const other of others) await expect(other.next('message.new')).resolves.toMatchObject({ seq: 1 });
    // By REST nobody is left out, and what comes second shows that the first did not come.
    await ann.say(id, 'by REST');
    for (const other of [phone, ...others]) await expect(other.next('message.new')).resolves.toMatchObject({ seq: 2 });
    expect(phone.seqs(id)).toEqual([2]);
    await phone.ask('reaction.add', { conversationId: id, seq: 1, emoji: '👍' });
    await phone.ask('message.edit', { conversationId: id, seq: 1, content: text('edited') });
    await ann.say(id, 'last');
    await phone.next('message.new');
    expect(phone.seqs(id)).toEqual([2, 5]);
    for (const other of others) {
      await other.next('message.new');
      expect(other.seqs(id)).toEqual([1, 2, 3, 4, 5]);
    }
  });

  it('answer a resend with the first message, over both doors', async () => {
    const { ann, id } = await direct();
    const phone = await ann.connect();
    const { message } = await phone.say(id, 'again', 'once');
    expect(await phone.say(id, 'again', 'once')).toEqual({ message, duplicate: true });
    const body = { clientId: 'again', content: text('once') };
    const byRest = await ann.answer('send', { params: { conversationId: id }, body });
    expect(byRest.status).toBe(200);
    expect(byRest.body).toMatchObject(message);
    const first = await ann.answer('send', { params: { conversationId: id }, body: { ...body, clientId: 'other' } });
    expect(first.status).toBe(201);
    expect((await phone.say(id, 'other', 'once')).duplicate).toBe(true);
    expect((await ann.sync(id)).head).toBe(2);
  });

  it('refuse another body under the same client id', async () => {
    const { ann, bob, id } = await direct();
    const phone = await ann.connect();
    await phone.say(id, 'a', 'parent');
    await phone.say(id, 'same', 'one', { mentions: [bob.id] });
    const others = [
      { content: text('two'), mentions: [bob.id] },
      { content: text('one') },
      { content: text('one'), mentions: [bob.id], parentSeq: 1 },
    ];
    for (const body of others) {
      const refused = await phone.refused('message.send', { conversationId: id, clientId: 'same', ...body });
      expect(refused).toMatchObject({ code: 'idempotency_conflict', retryable: false });
      const problem = await ann.refusedIn(id, 'send', { body: { clientId: 'same', ...body } });
      expect(problem).toMatchObject({ code: 'idempotency_conflict', status: 409 });
    }
    // The same client id of someone else, or elsewhere, is another message.
    expect((await bob.in(id, 'send', { body: { clientId: 'same', content: text('mine') } })).seq).toBe(3);
    const elsewhere = await ann.create('group', [bob]);
    expect((await phone.say(elsewhere.id, 'same', 'two')).message.seq).toBe(1);
  });

  it('become one entry of fifty identical sends at once over both doors', async () => {
    const { ann, bob, id } = await direct();
    const [phone, laptop] = [await ann.connect(), await bob.connect()];
    const body = { clientId: 'storm', content: text('just once') };
    const seqs = await Promise.all(
      Array.from({ length: 50 }, async (_, n) =>
        n % 2 === 0
          ? (await phone.say(id, 'storm', 'just once')).message.seq
          : (await ann.in(id, 'send', { body })).seq,
      ),
    );
    expect(new Set(seqs)).toEqual(new Set([1]));
    const page = await ann.sync(id);
    expect(page.head).toBe(1);
    await ann.say(id, 'sentinel');
    await laptop.next('message.new', ({ seq }) => seq === 2);
    expect(laptop.seqs(id)).toEqual([1, 2]);
  });

  it.each(['group', 'channel'] as const)(
    'of twenty at once have one dense order in a %s, seen alike by everyone',
    async (type) => {
      const people = await world.people(20);
      const [first, ...others] = people;
      const { id } = await first.create(type, others);
      const watchers = await Promise.all(people.slice(0, 5).map((person) => person.connect('watching')));
      const stream = await first.stream();
      const senders = await Promise.all(people.map((person) => person.connect('sending')));
      const each = 20;
      await Promise.all(
        senders.map(async (session, sender) => {
          let last = 0;
          for (let n = 0; n < each; n += 1) {
            const { message } = await session.say(id, `${sender}-${n}`, `${sender}: ${n}`);
            // Acknowledged before the next was sent: before it in the order, too.
            expect(message.seq).toBeGreaterThan(last);
            last = message.seq;
          }
        }),
      );
      const expected = Array.from({ length: people.length * each }, (_, n) => n + 1);
      for (const session of [...watchers, stream]) {
        await session.until('all messages', () => session.seqs(id).length >= expected.length, 10_000);
        expect(session.seqs(id)).toEqual(expected);
      }
      const { entries, head, hasMore } = await first.sync(id, 0, 1_000);
      expect({ head, hasMore }).toEqual({ head: expected.length, hasMore: false });
      expect(watchers[0]?.all('message.new')).toEqual(entries);
      expect(
        new Set(entries.map((entry) => ('clientId' in entry ? `${entry.senderId} ${entry.clientId}` : ''))).size,
      ).toBe(expected.length);
    },
  );

  it('keep the order of requests that one socket sends without waiting', async () => {
    const { ann, id } = await direct();
    const phone = await ann.connect();
    const sent = await Promise.all(Array.from({ length: 200 }, (_, n) => phone.say(id, `${n}`, `${n}`)));
    expect(sent.map(({ message }) => message.seq)).toEqual(sent.map((_, n) => n + 1));
  });

  it('read in pages before, after and around a place', async () => {
    const { ann, id } = await direct();
    for (let n = 1; n <= 12; n += 1) await ann.say(id, `${n}`);
    await ann.in(id, 'addReaction', { params: { seq: 3, emoji: '👍' } });
    const page = async (query: Record<string, number>) => {
      const { items, hasMore } = await ann.in(id, 'messages', { query });
      return [items.map(({ seq }) => seq), hasMore];
    };
    expect(await page({ limit: 3 })).toEqual([[10, 11, 12], true]);
    expect(await page({ before: 10, limit: 3 })).toEqual([[7, 8, 9], true]);
    expect(await page({ before: 4, limit: 3 })).toEqual([[1, 2, 3], false]);
    expect(await page({ after: 0, limit: 3 })).toEqual([[1, 2, 3], true]);
    expect(await page({ after: 9, limit: 5 })).toEqual([[10, 11, 12], false]);
    const [around] = await page({ around: 6, limit: 5 });
    expect(around).toContain(6);
    expect(around).toHaveLength(5);
    expect(await page({})).toEqual([Array.from({ length: 12 }, (_, n) => n + 1), false]);
    expect((await ann.refusedIn(id, 'messages', { query: { before: 3, after: 1 } })).code).toBe('invalid');
  });

  it('hold 40,000 UTF-16 units of text, and not one more', async () => {
    const { ann, bob, id } = await direct();
    const [phone, laptop] = [await ann.connect(), await bob.connect()];
    const longest = '\u{1f600}'.repeat(20_000);
    await phone.say(id, 'longest', longest);
    await expect(laptop.next('message.new')).resolves.toMatchObject({ content: text(longest) });
    const refused = await phone.refused('message.send', {
      conversationId: id,
      clientId: 'x',
      content: text('x'.repeat(40_001)),
    });
    expect(refused.code).toBe('invalid');
    expect(refused.issues).toContainEqual(expect.objectContaining({ path: 'content.text' }));
    const problem = await ann.refusedIn(id, 'send', { body: { clientId: 'x', content: text('x'.repeat(40_001)) } });
    expect(problem.issues).toContainEqual(expect.objectContaining({ path: 'content.text' }));
    const emoji = { clientId: 'x', content: text('\u{1f600}'.repeat(20_001)) };
    expect((await ann.refusedIn(id, 'send', { body: emoji })).code).toBe('invalid');
    expect((await ann.refusedIn(id, 'send', { body: { clientId: 'x', content: text('') } })).code).toBe('invalid');
    expect((await ann.refusedIn(id, 'send', { body: { clientId: 'x', content: text('\ud800') } })).code).toBe(
      'invalid',
    );
  });

  it('come back exactly as they were written', async () => {
    const { ann, id } = await direct();
    const odd = '\u0000\u2028"\\ <b>ä</b> \u202e אב 👩‍👩‍👧 \r\n';
    const { seq } = await ann.say(id, odd);
    expect((await ann.in(id, 'message', { params: { seq } })).content).toEqual(text(odd));
    expect((await ann.sync(id)).entries[0]).toMatchObject({ content: text(odd) });
  });

  it('have a registered type, or are refused', async () => {
    const { ann, bob, id } = await direct();
    const laptop = await bob.connect();
    const send = (clientId: string, content: object) => ann.refusedIn(id, 'send', { body: { clientId, content } });
    const custom = { type: 'custom', poll: { question: 'Lunch?', options: ['yes', 'no'] } };
    await ann.in(id, 'send', { body: { clientId: 'custom', content: custom } });
    await expect(laptop.next('message.new')).resolves.toMatchObject({ content: custom });
    const encrypted = { type: 'encrypted', ciphertext: 'AAAA', keyId: 'k' };
    await ann.in(id, 'send', { body: { clientId: 'encrypted', content: encrypted } });
    await expect(laptop.next('message.new')).resolves.toMatchObject({ content: encrypted });
    expect(await send('a', { type: 'unheard-of' })).toMatchObject({ code: 'unsupported', status: 415 });
    expect((await send('b', { type: 'custom', padding: 'x'.repeat(16 * 1024) })).code).toBe('invalid');
    expect((await send('c', { type: 'text', text: 'x', more: 1 })).issues).toEqual([
      { path: 'content.more', message: 'unknown field' },
    ]);
  });
});
