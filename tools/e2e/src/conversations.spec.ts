import { beforeAll, expect, it } from '@jest/globals';

import type { Person } from './person.js';
import { itWithOwnServer, scenario } from './world.js';

scenario('conversations', (world) => {
  let admin: Person;
  beforeAll(async () => {
    admin = await world.person('admin');
  });

  it('are direct once for two people, whoever asks, also at the same moment', async () => {
    const [ann, bob] = await world.people(2);
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, n) => {
        const [from, to] = n % 2 === 0 ? [ann, bob] : [bob, ann];
        return from.answer('createConversation', { body: { type: 'direct', memberIds: [to.id] } });
      }),
    );
    expect(new Set(made.map(({ body }) => body.id)).size).toBe(1);
    expect(made.filter(({ status }) => status === 201)).toHaveLength(1);
    const again = await ann.answer('createConversation', { body: { type: 'direct', memberIds: [bob.id] } });
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ type: 'direct', peerId: bob.id, memberCount: 2, head: 0, unread: 0 });
    expect((await bob.call('conversations')).items).toHaveLength(1);
  });

  it('start with their defaults, and without an entry', async () => {
    const [ann, bob] = await world.people(2);
    const group = await ann.create('group', [bob], { name: 'Plans', topic: 'Weekend' });
    expect(group).toMatchObject({
      ...{ type: 'group', name: 'Plans', topic: 'Weekend', visibility: 'private', history: 'joined', head: 0 },
      ...{ role: 'owner', memberCount: 2, readSeq: 0, unread: 0, mentions: 0, lastMessage: null, createdBy: ann.id },
    });
    const channel = await ann.create('channel', [], { name: 'general' });
    expect(channel).toMatchObject({
      type: 'channel',
      visibility: 'private',
      history: 'all',
      head: 0,
      memberCount: 1,
    });
    expect((await bob.in(group.id, 'conversation')).role).toBe('member');
    expect(await bob.sync(group.id)).toEqual({ entries: [], cursor: 0, hasMore: false, head: 0 });
    expect((await bob.say(group.id, 'first')).seq).toBe(1);
  });

  it('are announced to the sessions of everyone in them', async () => {
    const [ann, bob] = await world.people(2);
    const [laptop, phone] = await Promise.all([ann.connect('laptop'), bob.connect('phone')]);
    for (const type of ['direct', 'group', 'channel'] as const) {
      const { id } = await ann.create(type, [bob]);
      const [forAnn, forBob] = await Promise.all(
        [laptop, phone].map((session) => session.next('conversation.created', (data) => data['id'] === id)),
      );
      expect(forAnn).toMatchObject({ id, role: type === 'direct' ? 'member' : 'owner' });
      expect(forBob).toMatchObject({ id, role: 'member' });
      if (type === 'direct') expect(forBob?.['peerId']).toBe(ann.id);
      await laptop.say(id, '1', 'hello');
      await expect(phone.next('message.new', (data) => data['conversationId'] === id)).resolves.toMatchObject({
        seq: 1,
      });
    }
  });

  it('refuse members that do not exist, and shapes that make no sense', async () => {
    const [ann, bob] = await world.people(2);
    const create = (body: object) => ann.refused('createConversation', { body });
    expect((await create({ type: 'group', memberIds: ['nobody'] })).code).toBe('not_found');
    expect((await create({ type: 'direct', memberIds: [] })).code).toBe('invalid');
    expect((await create({ type: 'direct', memberIds: [ann.id] })).code).toBe('invalid');
    expect((await create({ type: 'group', memberIds: [bob.id], visibility: 'public' })).code).toBe('invalid');
    expect((await create({ type: 'circle', memberIds: [] })).issues).toContainEqual(
      expect.objectContaining({ path: 'type' }),
    );
  });

  it('do not exist for strangers', async () => {
    const [ann, bob, stranger] = await world.people(3);
    const { id } = await ann.create('group', [bob]);
    await ann.say(id, 'secret');
    const reads = [
      ['conversation', {}],
      ['members', {}],
      ['messages', {}],
      ['message', { params: { seq: 1 } }],
      ['pins', {}],
      ['replies', { params: { seq: 1 } }],
      ['receipts', { params: { seq: 1 } }],
      ['markRead', { body: { seq: 1 } }],
      ['markUnread', { body: { seq: 1 } }],
      ['send', { body: { clientId: '1', content: { type: 'text', text: 'x' } } }],
      ['editMessage', { params: { seq: 1 }, body: { content: { type: 'text', text: 'x' } } }],
      ['deleteMessage', { params: { seq: 1 } }],
      ['addReaction', { params: { seq: 1, emoji: '👍' } }],
      ['pin', { params: { seq: 1 } }],
      ['join', {}],
      ['leave', {}],
      ['addMembers', { body: { userIds: [stranger.id] } }],
      ['removeMember', { params: { userId: ann.id } }],
      ['updateConversation', { body: { name: 'Mine' } }],
      ['deleteConversation', {}],
    ] as const;
    for (const [name, input] of reads) {
      const mine = await stranger.refusedIn(id, name, input);
      const none = await stranger.refusedIn('nothing', name, input);
      expect(mine).toMatchObject({ code: 'not_found', status: 404 });
      expect({ ...mine, requestId: '' }).toEqual({ ...none, requestId: '' });
    }
    const query = { conversationId: id };
    expect((await stranger.refused('syncConversation', { query })).code).toBe('not_found');
  });

  it('let everyone find and join public channels, and leave them', async () => {
    const [ann, bob] = await world.people(2);
    const name = world.name('channel');
    const { id } = await ann.create('channel', [], { name, visibility: 'public' });
    await ann.say(id, 'before');
    expect((await bob.call('publicChannels', { query: { query: name } })).items).toEqual([
      { id, name, topic: null, memberCount: 1 },
    ]);
    const seen = await bob.in(id, 'conversation');
    expect(seen.role).toBeUndefined();
    const laptop = await ann.connect();
    expect(await bob.in(id, 'join')).toMatchObject({ id, role: 'member', memberCount: 2, unread: 0 });
    await expect(laptop.next('member.added')).resolves.toMatchObject({ seq: 2, userIds: [bob.id], senderId: bob.id });
    // Joining twice is joining once.
    expect((await bob.in(id, 'join')).head).toBe(2);
    await bob.in(id, 'leave');
    await expect(laptop.next('member.removed')).resolves.toMatchObject({ seq: 3, userIds: [bob.id] });
    expect((await bob.refusedIn(id, 'messages')).code).toBe('not_found');
  });

  it('keep private channels out of the listing, and shut', async () => {
    const [ann, bob] = await world.people(2);
    const name = world.name('private');
    const { id } = await ann.create('channel', [], { name });
    expect((await bob.call('publicChannels', { query: { query: name } })).items).toEqual([]);
    expect((await bob.refusedIn(id, 'join')).code).toBe('not_found');
  });

  it('tell members of changed settings by an entry', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group', [bob], { name: 'Old' });
    const phone = await bob.connect();
    const changed = await ann.in(id, 'updateConversation', { body: { name: 'New', topic: 'Things' } });
    expect(changed).toMatchObject({ name: 'New', topic: 'Things', head: 1 });
    await expect(phone.next('conversation.updated')).resolves.toMatchObject({
      ...{ conversationId: id, seq: 1, kind: 'settings', senderId: ann.id },
      changes: { name: 'New', topic: 'Things' },
    });
    expect(await bob.in(id, 'conversation')).toMatchObject({ name: 'New', topic: 'Things' });
    // Nothing that would change nothing is an entry.
    expect((await ann.in(id, 'updateConversation', { body: { name: 'New' } })).head).toBe(1);
  });

  it('are gone for everybody once deleted', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group', [bob]);
    await ann.say(id, 'hello');
    const phone = await bob.connect();
    await ann.in(id, 'deleteConversation');
    await expect(phone.next('conversation.deleted')).resolves.toMatchObject({ conversationId: id });
    for (const person of [ann, bob]) {
      expect((await person.refusedIn(id, 'conversation')).code).toBe('not_found');
      expect((await person.refusedIn(id, 'messages')).code).toBe('not_found');
      expect((await person.call('conversations')).items).toEqual([]);
      expect((await person.call('sync', { body: { cursors: { [id]: 1 } } })).removed).toEqual([id]);
    }
    expect(
      (
        await phone.refused('message.send', {
          conversationId: id,
          clientId: '9',
          content: { type: 'text', text: 'x' },
        })
      ).code,
    ).toBe('not_found');
  });

  it('list the last changed first, in pages that neither repeat nor skip', async () => {
    const [ann, bob] = await world.people(2);
    const made = [];
    for (let n = 0; n < 7; n += 1) made.push((await ann.create('group', [bob], { name: `${n}` })).id);
    for (const id of [...made].reverse()) await bob.say(id, 'later');
    const listed: string[] = [];
    let cursor: string | null = null;
    do {
      const page: { items: { id: string }[]; nextCursor: string | null } = await ann.call('conversations', {
        query: { limit: 3, ...(cursor === null ? {} : { cursor }) },
      });
      listed.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(listed).toEqual(made);
    const [first] = (await ann.call('conversations', { query: { limit: 1 } })).items;
    expect(first).toMatchObject({
      head: 1,
      unread: 1,
      lastMessage: { seq: 1, content: { type: 'text', text: 'later' } },
    });
  });

  itWithOwnServer(
    'take a thousand members in one call and one entry, and list them all',
    'the admin makes them',
    async () => {
      const userIds: string[] = [];
      for (let made = 0; made < 1_000; made += 50) {
        const batch = Array.from({ length: 50 }, (_, n) =>
          admin.call('createApiKey', { body: { name: `Bot ${made + n}`, scopes: ['messages:read'] } }),
        );
        userIds.push(...(await Promise.all(batch)).map(({ userId }) => userId));
      }
      const { id } = await admin.create('channel', [], { name: 'all hands' });
      const laptop = await admin.connect();
      const { seq, added } = await admin.in(id, 'addMembers', { body: { userIds } });
      expect(seq).toBe(1);
      expect(added).toHaveLength(1_000);
      await expect(laptop.next('member.added')).resolves.toMatchObject({ seq: 1, op: 'added' });
      expect((await admin.in(id, 'conversation')).memberCount).toBe(1_001);
      const listed: string[] = [];
      let cursor: string | null = null;
      do {
        const page: { items: { user: { id: string } }[]; nextCursor: string | null } = await admin.in(id, 'members', {
          query: { limit: 400, ...(cursor === null ? {} : { cursor }) },
        });
        listed.push(...page.items.map(({ user }) => user.id));
        cursor = page.nextCursor;
      } while (cursor !== null);
      expect(new Set(listed)).toEqual(new Set([admin.id, ...userIds]));
      expect(listed).toHaveLength(1_001);
      // The same call again changes nothing.
      expect(await admin.in(id, 'addMembers', { body: { userIds } })).toEqual({ seq: 1, added: [] });
      const tooMany = { body: { userIds: [...userIds, 'one-more'] } };
      expect((await admin.refusedIn(id, 'addMembers', tooMany)).code).toBe('invalid');
    },
  );
});
