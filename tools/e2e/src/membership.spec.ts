import { expect, it } from '@jest/globals';

import type { Person } from './person.js';
import { scenario } from './world.js';

scenario('members', (world) => {
  const remove = (by: Person, id: string, who: Person) => by.in(id, 'removeMember', { params: { userId: who.id } });
  const add = (by: Person, id: string, who: Person) => by.in(id, 'addMembers', { body: { userIds: [who.id] } });
  const grant = (by: Person, id: string, who: Person, role: string) =>
    by.in(id, 'updateMember', { params: { userId: who.id }, body: { role } });

  it.each(['group', 'channel'] as const)('of a %s get the entry that removes them, and then nothing', async (type) => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create(type, [bob]);
    const sentinel = await ann.create('direct', [bob]);
    const [phone, stream] = [await bob.connect(), await bob.stream()];
    await ann.say(id, 'before');
    await phone.next('message.new');
    await remove(ann, id, bob);
    await ann.say(id, 'after');
    await ann.in(id, 'addReaction', { params: { seq: 1, emoji: '👍' } });
    await ann.in(id, 'updateConversation', { body: { name: 'without you' } });
    await ann.say(sentinel.id, 'sentinel');
    for (const session of [phone, stream]) {
      await session.next('message.new', ({ conversationId }) => conversationId === sentinel.id);
      await session.next('conversation.deleted', ({ conversationId }) => conversationId === id);
      expect(session.seqs(id)).toEqual([1, 2]);
      const last = session.events.findLast(({ data }) => data['conversationId'] === id && 'seq' in data);
      expect(last).toMatchObject({ event: 'member.removed', data: { userIds: [bob.id] } });
    }
  });

  it('who were removed are refused everywhere, and told so by sync', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group', [bob]);
    await ann.say(id, 'one');
    const phone = await bob.connect();
    await remove(ann, id, bob);
    const reads = [
      ['conversation', {}],
      ['members', {}],
      ['messages', {}],
      ['message', { params: { seq: 1 } }],
      ['pins', {}],
      ['replies', { params: { seq: 1 } }],
      ['receipts', { params: { seq: 1 } }],
      ['markRead', { body: { seq: 1 } }],
    ] as const;
    for (const [name, input] of reads) expect((await bob.refusedIn(id, name, input)).code).toBe('not_found');
    expect((await bob.refused('syncConversation', { query: { conversationId: id } })).code).toBe('not_found');
    const content = { type: 'text', text: 'still here?' };
    const requests = [
      ['message.send', { conversationId: id, clientId: '1', content }],
      ['message.edit', { conversationId: id, seq: 1, content }],
      ['message.delete', { conversationId: id, seq: 1 }],
      ['reaction.add', { conversationId: id, seq: 1, emoji: '👍' }],
      ['read.mark', { conversationId: id, seq: 1 }],
      ['delivered.mark', { conversationId: id, seq: 1 }],
      ['typing.start', { conversationId: id }],
      ['typing.stop', { conversationId: id }],
    ] as const;
    for (const [event, request] of requests) expect((await phone.refused(event, request)).code).toBe('not_found');
    const expected = { changed: [], added: [], removed: [id] };
    expect(await bob.call('sync', { body: { cursors: { [id]: 1 } } })).toEqual(expected);
    expect(await phone.ask('sync', { cursors: { [id]: 1 } })).toEqual(expected);
    expect((await bob.call('conversations')).items).toEqual([]);
  });

  it('of a conversation whose history starts on joining see from their own entry on', async () => {
    const [ann, bob, carl] = await world.people(3);
    const { id } = await ann.create('group', [bob]);
    await ann.say(id, 'one');
    await ann.say(id, 'two');
    const phone = await carl.connect();
    await add(ann, id, carl);
    await expect(phone.next('conversation.created')).resolves.toMatchObject({ id, unread: 0, role: 'member' });
    await expect(phone.next('member.added')).resolves.toMatchObject({ seq: 3, userIds: [carl.id] });
    const edited = { body: { content: { type: 'text', text: 'one, edited' } } };
    await ann.in(id, 'editMessage', { params: { seq: 1 }, ...edited });
    await ann.in(id, 'addReaction', { params: { seq: 2, emoji: '🎉' } });
    await ann.in(id, 'pin', { params: { seq: 2 } });
    await ann.say(id, 'seven');
    await phone.next('message.new', ({ seq }) => seq === 7);
    // An edit is said now, in front of everyone who is here now; the message that it changes stays hidden.
    expect(phone.seqs(id)).toEqual([3, 4, 5, 6, 7]);
    expect((await carl.sync(id)).entries.map(({ seq }) => seq)).toEqual([3, 4, 5, 6, 7]);
    expect((await carl.sync(id)).cursor).toBe(7);
    expect((await carl.in(id, 'messages')).items.map(({ seq }) => seq)).toEqual([7]);
    expect((await carl.in(id, 'messages', { query: { around: 2 } })).items.map(({ seq }) => seq)).toEqual([7]);
    expect((await carl.refusedIn(id, 'message', { params: { seq: 1 } })).code).toBe('not_found');
    expect((await carl.refusedIn(id, 'addReaction', { params: { seq: 1, emoji: '👍' } })).code).toBe('not_found');
    expect((await carl.refusedIn(id, 'replies', { params: { seq: 1 } })).code).toBe('not_found');
    expect((await carl.in(id, 'pins')).items).toEqual([]);
    expect(await carl.in(id, 'conversation')).toMatchObject({ unread: 1, readSeq: 3, lastMessage: { seq: 7 } });
    const reply = { clientId: 'r', content: { type: 'text', text: 'what?' }, parentSeq: 1 };
    expect((await carl.refusedIn(id, 'send', { body: reply })).code).toBe('not_found');
  });

  it('of a conversation with its whole history see everything, and start with nothing unread', async () => {
    const [ann, carl] = await world.people(2);
    const { id } = await ann.create('channel');
    await ann.say(id, 'one');
    await ann.say(id, 'two');
    const phone = await carl.connect();
    await add(ann, id, carl);
    await phone.next('member.added');
    expect(await carl.in(id, 'conversation')).toMatchObject({ unread: 0, readSeq: 3 });
    expect((await carl.in(id, 'messages')).items.map(({ seq }) => seq)).toEqual([1, 2]);
    expect((await carl.sync(id)).entries.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    await carl.in(id, 'addReaction', { params: { seq: 1, emoji: '👍' } });
    await ann.in(id, 'editMessage', { params: { seq: 1 }, body: { content: { type: 'text', text: 'edited' } } });
    await expect(phone.next('message.updated')).resolves.toMatchObject({ targetSeq: 1, seq: 5 });
  });

  it('who come back see both stretches, and nothing of what was said between', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group', [bob]);
    await ann.say(id, 'one');
    await remove(ann, id, bob);
    await ann.say(id, 'between');
    await add(ann, id, bob);
    await ann.say(id, 'five');
    expect((await bob.sync(id)).entries.map(({ seq }) => seq)).toEqual([1, 2, 4, 5]);
    expect((await bob.in(id, 'messages')).items.map(({ seq }) => seq)).toEqual([1, 5]);
    expect((await bob.refusedIn(id, 'message', { params: { seq: 3 } })).code).toBe('not_found');
    expect(await bob.in(id, 'conversation')).toMatchObject({ unread: 1, readSeq: 4 });
  });

  it('may do what their role permits, and no more', async () => {
    const [owner, admin, member, guest, other] = await world.people(5);
    const { id } = await owner.create('channel', [admin, member, guest, other]);
    await grant(owner, id, admin, 'admin');
    await grant(owner, id, guest, 'guest');
    const { seq } = await owner.say(id, 'from the owner');
    const settings = { body: { topic: 'Topic' } };
    const everyone = { body: { clientId: 'everyone', content: { type: 'text', text: '!' }, mentions: ['channel'] } };

    expect((await guest.refusedIn(id, 'pin', { params: { seq } })).code).toBe('forbidden');
    expect((await guest.refusedIn(id, 'send', everyone)).code).toBe('forbidden');
    expect((await guest.refusedIn(id, 'addMembers', { body: { userIds: [other.id] } })).code).toBe('forbidden');
    await guest.say(id, 'guests may talk');
    await guest.in(id, 'addReaction', { params: { seq, emoji: '👍' } });

    await member.in(id, 'pin', { params: { seq } });
    await member.in(id, 'send', everyone);
    expect((await member.refusedIn(id, 'deleteMessage', { params: { seq } })).code).toBe('forbidden');
    expect(
      (await member.refusedIn(id, 'editMessage', { params: { seq }, body: { content: { type: 'text', text: 'x' } } }))
        .code,
    ).toBe('forbidden');
    expect((await member.refusedIn(id, 'removeMember', { params: { userId: guest.id } })).code).toBe('forbidden');
    expect((await member.refusedIn(id, 'updateConversation', settings)).code).toBe('forbidden');

    await admin.in(id, 'updateConversation', settings);
    expect((await admin.refusedIn(id, 'removeMember', { params: { userId: owner.id } })).code).toBe('forbidden');
    expect(
      (await admin.refusedIn(id, 'updateMember', { params: { userId: member.id }, body: { role: 'owner' } })).code,
    ).toBe('forbidden');
    expect((await admin.refusedIn(id, 'deleteConversation')).code).toBe('forbidden');
    await remove(admin, id, other);
    await admin.in(id, 'deleteMessage', { params: { seq } });

    await owner.in(id, 'deleteConversation');
  });

  it('keep an owner as long as anyone is left', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group', [bob]);
    expect((await ann.refusedIn(id, 'leave')).code).toBe('conflict');
    await grant(ann, id, bob, 'owner');
    await ann.in(id, 'leave');
    expect((await bob.in(id, 'members')).items).toMatchObject([{ role: 'owner', user: { id: bob.id } }]);
    await bob.in(id, 'leave');
  });

  it('hear of roles that change', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group', [bob]);
    const phone = await bob.connect();
    expect(await grant(ann, id, bob, 'admin')).toMatchObject({ role: 'admin', user: { id: bob.id } });
    await expect(phone.next('member.updated')).resolves.toMatchObject({
      op: 'role',
      role: 'admin',
      userIds: [bob.id],
      seq: 1,
    });
    expect((await bob.in(id, 'conversation')).role).toBe('admin');
  });

  it('of a direct conversation are two for good', async () => {
    const [ann, bob, carl] = await world.people(3);
    const { id } = await ann.create('direct', [bob]);
    expect((await ann.refusedIn(id, 'addMembers', { body: { userIds: [carl.id] } })).code).toBe('forbidden');
    expect((await ann.refusedIn(id, 'leave')).code).toBe('forbidden');
    expect((await ann.refusedIn(id, 'removeMember', { params: { userId: bob.id } })).code).toBe('forbidden');
    expect((await ann.refusedIn(id, 'updateConversation', { body: { name: 'Us' } })).code).toBe('forbidden');
  });
});
