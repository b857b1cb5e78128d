import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it } from '@jest/globals';

import type { Person } from './person.js';
import { eventually } from './recorder.js';
import { itWithOwnServer, scenario } from './world.js';

scenario('changes of messages', (world) => {
  const text = (value: string) => ({ type: 'text', text: value });

  async function group(): Promise<{ ann: Person; bob: Person; id: string }> {
    const [ann, bob] = await world.people(2);
    return { ann, bob, id: (await ann.create('group', [bob])).id };
  }

  it('are entries: an edit', async () => {
    const { ann, bob, id } = await group();
    const [phone, laptop] = [await ann.connect(), await bob.connect()];
    const { message } = await phone.say(id, '1', 'helo');
    const { seq } = await phone.ask('message.edit', { conversationId: id, seq: 1, content: text('hello') });
    expect(seq).toBe(2);
    await expect(laptop.next('message.updated')).resolves.toMatchObject({
      kind: 'edit',
      seq: 2,
      targetSeq: 1,
      content: text('hello'),
    });
    const read = await bob.in(id, 'message', { params: { seq: 1 } });
    expect(read).toMatchObject({ id: message.id, content: text('hello'), editedAt: expect.any(String) });
    expect((await bob.in(id, 'conversation')).lastMessage).toMatchObject({ seq: 1, content: text('hello') });
    // Its author's only.
    expect((await laptop.refused('message.edit', { conversationId: id, seq: 1, content: text('x') })).code).toBe(
      'forbidden',
    );
    expect((await laptop.refused('message.edit', { conversationId: id, seq: 2, content: text('x') })).code).toBe(
      'not_found',
    );
    expect((await laptop.refused('message.edit', { conversationId: id, seq: 99, content: text('x') })).code).toBe(
      'not_found',
    );
    expect((await ann.sync(id)).head).toBe(2);
  });

  it('are idempotent: a reaction', async () => {
    const { ann, bob, id } = await group();
    const [phone, laptop] = [await ann.connect(), await bob.connect()];
    await phone.say(id, '1', 'hello');
    const add = { conversationId: id, seq: 1, emoji: '👍' };
    expect(await laptop.ask('reaction.add', add)).toEqual({ seq: 2 });
    expect(await laptop.ask('reaction.add', add)).toEqual({ seq: 2 });
    expect(await bob.in(id, 'addReaction', { params: { seq: 1, emoji: '👍' } })).toEqual({ seq: 2 });
    await expect(phone.next('reaction.new')).resolves.toMatchObject({ seq: 2, targetSeq: 1, emoji: '👍', op: 'add' });
    const all = await Promise.all(Array.from({ length: 10 }, () => phone.ask('reaction.add', add)));
    expect(new Set(all.map(({ seq }) => seq))).toEqual(new Set([3]));
    expect((await bob.in(id, 'message', { params: { seq: 1 } })).reactions).toEqual([
      { emoji: '👍', count: 2, userIds: [bob.id, ann.id], me: true },
    ]);
    await bob.in(id, 'removeReaction', { params: { seq: 1, emoji: '👍' } });
    await expect(phone.next('reaction.deleted')).resolves.toMatchObject({ seq: 4, targetSeq: 1, op: 'remove' });
    await laptop.ask('reaction.remove', add);
    expect((await ann.sync(id)).head).toBe(4);
    expect((await bob.in(id, 'message', { params: { seq: 1 } })).reactions).toEqual([
      { emoji: '👍', count: 1, userIds: [ann.id], me: false },
    ]);
  });

  it('are idempotent: a pin', async () => {
    const { ann, bob, id } = await group();
    const laptop = await bob.connect();
    await ann.say(id, 'one');
    await ann.say(id, 'two');
    expect(await ann.in(id, 'pin', { params: { seq: 1 } })).toEqual({ seq: 3 });
    expect(await bob.in(id, 'pin', { params: { seq: 1 } })).toEqual({ seq: 3 });
    await ann.in(id, 'pin', { params: { seq: 2 } });
    await expect(laptop.next('pin.added')).resolves.toMatchObject({ seq: 3, targetSeq: 1 });
    const { items } = await bob.in(id, 'pins');
    expect(items).toMatchObject([{ seq: 2 }, { seq: 1, pinned: { by: ann.id } }]);
    await ann.in(id, 'unpin', { params: { seq: 1 } });
    await ann.in(id, 'unpin', { params: { seq: 1 } });
    await expect(laptop.next('pin.removed')).resolves.toMatchObject({ seq: 5, targetSeq: 1 });
    expect((await bob.in(id, 'pins')).items.map(({ seq }) => seq)).toEqual([2]);
    expect((await ann.sync(id)).head).toBe(5);
  });

  it('that delete leave nothing to read anywhere', async () => {
    const { ann, bob, id } = await group();
    const [phone, laptop] = [await ann.connect(), await bob.connect()];
    await phone.say(id, '1', 'the first secret');
    await phone.ask('message.edit', { conversationId: id, seq: 1, content: text('the second secret') });
    await phone.ask('reaction.add', { conversationId: id, seq: 1, emoji: '👍' });
    await bob.in(id, 'pin', { params: { seq: 1 } });
    expect(await phone.ask('message.delete', { conversationId: id, seq: 1 })).toEqual({ seq: 5 });
    // Deleting twice is deleting once.
    expect(await phone.ask('message.delete', { conversationId: id, seq: 1 })).toEqual({ seq: 5 });
    await expect(laptop.next('message.deleted')).resolves.toMatchObject({ seq: 5, targetSeq: 1 });
    const gone = await bob.in(id, 'message', { params: { seq: 1 } });
    expect(gone).toMatchObject({ seq: 1, content: null, deletedAt: expect.any(String) });
    const { entries } = await bob.sync(id);
    expect(entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
    expect(entries[0]).toMatchObject({ content: null, deletedAt: gone.deletedAt });
    const reads = [
      await bob.in(id, 'messages'),
      entries,
      await bob.in(id, 'conversation'),
      await bob.in(id, 'pins'),
      await bob.call('sync', { body: { cursors: {} } }),
      await laptop.ask('sync', { cursors: { [id]: 0 } }),
      await ann.in(id, 'send', { body: { clientId: '1', content: text('the first secret') } }),
    ];
    expect(JSON.stringify(reads)).not.toContain('secret');
    expect((await bob.in(id, 'pins')).items).toEqual([]);
    expect((await bob.refusedIn(id, 'addReaction', { params: { seq: 1, emoji: '👍' } })).code).toBe('not_found');
    expect((await ann.refusedIn(id, 'editMessage', { params: { seq: 1 }, body: { content: text('back') } })).code).toBe(
      'not_found',
    );
  });

  itWithOwnServer('that delete take the text out of the files of the store', 'it reads those files', async () => {
    const { ann, id } = await group();
    const secret = `needle-${id}-${'x'.repeat(3_000)}`;
    const stored = async () => {
      const files = await readdir(world.server.dataDir, { recursive: true, withFileTypes: true });
      const contents = await Promise.all(
        files
          .filter((file) => file.isFile())
          .map(async (file) => {
            const path = join(file.parentPath, file.name);
            // A file may go between the listing and the reading.
            return (await readFile(path).catch(() => Buffer.alloc(0))).includes(`needle-${id}`) ? [path] : [];
          }),
      );
      return contents.flat();
    };
    for (let n = 0; n < 20; n += 1) await ann.say(id, `around ${n}`);
    const { seq } = await ann.say(id, secret);
    await ann.in(id, 'editMessage', { params: { seq }, body: { content: text(`${secret} edited`) } });
    for (let n = 0; n < 20; n += 1) await ann.say(id, `around ${n}`);
    expect(await stored()).not.toEqual([]);
    await ann.in(id, 'deleteMessage', { params: { seq } });
    await eventually(stored, (files) => files.length === 0, 10_000);
  });

  it('make threads of replies', async () => {
    const { ann, bob, id } = await group();
    const [phone, laptop] = [await ann.connect(), await bob.connect()];
    await phone.say(id, 'parent', 'who is in?');
    await laptop.say(id, 'r1', 'me', { parentSeq: 1 });
    await expect(phone.next('thread.updated')).resolves.toMatchObject({
      parentSeq: 1,
      replyCount: 1,
      participants: [bob.id],
    });
    await phone.say(id, 'between', 'elsewhere');
    await phone.say(id, 'r2', 'good', { parentSeq: 1 });
    for (const session of [phone, laptop]) {
      const updated = await session.next('thread.updated', ({ replyCount }) => replyCount === 2);
      expect(updated).toMatchObject({ conversationId: id, participants: [bob.id, ann.id] });
      expect(updated).not.toHaveProperty('seq');
    }
    const { items, hasMore } = await bob.in(id, 'replies', { params: { seq: 1 } });
    expect([items.map(({ seq }) => seq), hasMore]).toEqual([[2, 4], false]);
    expect((await bob.in(id, 'replies', { params: { seq: 1 }, query: { limit: 1 } })).hasMore).toBe(true);
    expect((await bob.in(id, 'replies', { params: { seq: 1 }, query: { after: 2 } })).items).toMatchObject([
      { seq: 4 },
    ]);
    expect(await bob.in(id, 'message', { params: { seq: 1 } })).toMatchObject({
      replyCount: 2,
      participants: [bob.id, ann.id],
    });
    await expect(laptop.next('message.new', ({ seq }) => seq === 4)).resolves.toMatchObject({ parentSeq: 1 });
    const none = { conversationId: id, clientId: 'r3', content: text('?'), parentSeq: 99 };
    expect((await phone.refused('message.send', none)).code).toBe('not_found');
  });

  it('mention people: one by name, all, and those who are here', async () => {
    const { ann, bob, id } = await group();
    await ann.say(id, 'nobody');
    await ann.say(id, 'you', { mentions: [bob.id] });
    await ann.say(id, 'all of you', { mentions: ['channel'] });
    await ann.say(id, 'myself', { mentions: [ann.id] });
    await ann.say(id, 'the two of us', { mentions: [ann.id, bob.id] });
    expect(await bob.in(id, 'conversation')).toMatchObject({ unread: 5, mentions: 3 });
    expect(await ann.in(id, 'conversation')).toMatchObject({ unread: 0, mentions: 0 });
    await bob.in(id, 'markRead', { body: { seq: 2 } });
    expect(await bob.in(id, 'conversation')).toMatchObject({ unread: 3, mentions: 2 });
    await ann.in(id, 'deleteMessage', { params: { seq: 5 } });
    expect(await bob.in(id, 'conversation')).toMatchObject({ unread: 2, mentions: 1 });
    const tooMany = { clientId: 'x', content: text('x'), mentions: Array.from({ length: 101 }, (_, n) => `u${n}`) };
    expect((await ann.refusedIn(id, 'send', { body: tooMany })).issues).toEqual([
      expect.objectContaining({ path: 'mentions' }),
    ]);
  });
});
