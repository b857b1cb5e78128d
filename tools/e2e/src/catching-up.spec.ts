import { expect, it } from '@jest/globals';

import { scenario } from './world.js';

scenario('catching up', (world) => {
  it('pages through every entry after a cursor, whatever its kind', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group', [bob]);
    await ann.say(id, 'one');
    await ann.in(id, 'editMessage', { params: { seq: 1 }, body: { content: { type: 'text', text: 'uno' } } });
    await bob.in(id, 'addReaction', { params: { seq: 1, emoji: '👍' } });
    await ann.in(id, 'pin', { params: { seq: 1 } });
    await ann.in(id, 'updateMember', { params: { userId: bob.id }, body: { role: 'admin' } });
    await ann.in(id, 'updateConversation', { body: { name: 'New' } });
    await ann.say(id, 'seven', { parentSeq: 1 });
    await ann.in(id, 'deleteMessage', { params: { seq: 7 } });
    const pages = [];
    let cursor = 0;
    let more = true;
    while (more) {
      const page = await bob.sync(id, cursor, 3);
      expect(page.head).toBe(8);
      expect(page.cursor).toBe(page.entries.at(-1)?.seq);
      pages.push(page.entries);
      ({ cursor, hasMore: more } = page);
    }
    expect(pages.map((entries) => entries.length)).toEqual([3, 3, 2]);
    const entries = pages.flat();
    expect(entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(entries.map(({ kind }) => kind)).toEqual([
      ...['message', 'edit', 'reaction', 'pin', 'member', 'settings', 'message', 'delete'],
    ]);
    expect(entries[6]).toMatchObject({ content: null, parentSeq: 1 });
    expect(await bob.sync(id, 8)).toEqual({ entries: [], cursor: 8, hasMore: false, head: 8 });
    expect(await bob.sync(id, 1_000_000)).toEqual({ entries: [], cursor: 8, hasMore: false, head: 8 });
  });

  it('gives the same entries live and fetched', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group', [bob]);
    const phone = await bob.connect();
    await ann.say(id, 'one', { mentions: [bob.id] });
    await ann.in(id, 'addReaction', { params: { seq: 1, emoji: ':shrug:' } });
    await ann.in(id, 'updateConversation', { body: { topic: 'T' } });
    await phone.next('conversation.updated');
    const live = phone.events.filter(({ data }) => 'kind' in data).map(({ data }) => data);
    expect((await bob.sync(id)).entries).toEqual(live);
  });

  it('passes over what lies below what a member may see', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group');
    for (let n = 1; n <= 30; n += 1) await ann.say(id, `${n}`);
    await ann.in(id, 'addMembers', { body: { userIds: [bob.id] } });
    const page = await bob.sync(id, 0, 10);
    expect(page).toMatchObject({ cursor: 31, hasMore: false, head: 31, entries: [{ seq: 31, kind: 'member' }] });
  });

  it('learns over hundreds of conversations in one call what changed, what is new and what is gone', async () => {
    const [ann, bob] = await world.people(2);
    const made: string[] = [];
    for (let from = 0; from < 300; from += 25) {
      const batch = Array.from({ length: 25 }, (_, n) => ann.create('group', [bob], { name: `Room ${from + n}` }));
      made.push(...(await Promise.all(batch)).map(({ id }) => id));
    }
    await Promise.all(made.map((id) => ann.say(id, 'first')));
    const cursors = Object.fromEntries(made.map((id) => [id, 1]));
    const nothing = { changed: [], added: [], removed: [] };
    expect(await bob.call('sync', { body: { cursors } })).toEqual(nothing);

    const [talked, edited, left, deleted] = made as [string, string, string, string];
    for (let n = 0; n < 5; n += 1) await ann.say(talked, `more ${n}`);
    await ann.in(edited, 'editMessage', { params: { seq: 1 }, body: { content: { type: 'text', text: 'edited' } } });
    await ann.in(left, 'removeMember', { params: { userId: bob.id } });
    await ann.in(deleted, 'deleteConversation');
    const added = await ann.create('direct', [bob]);
    await ann.say(added.id, 'hello');

    const expected = {
      changed: [
        { conversationId: talked, cursor: 4, hasMore: true, head: 6 },
        { conversationId: edited, cursor: 2, hasMore: false, head: 2, entries: [{ kind: 'edit', targetSeq: 1 }] },
      ],
      added: [{ id: added.id, unread: 1, head: 1, lastMessage: { seq: 1 } }],
    };
    const phone = await bob.connect();
    const body = { cursors, limit: 3 };
    for (const result of [await bob.call('sync', { body }), await phone.ask('sync', body)]) {
      const changed = [...result.changed].sort((a) => (a.conversationId === talked ? -1 : 1));
      expect({ changed, added: result.added }).toMatchObject(expected);
      expect(changed[0]?.entries.map(({ seq }) => seq)).toEqual([2, 3, 4]);
      expect(new Set(result.removed)).toEqual(new Set([left, deleted]));
    }
    // Without cursors everything is new.
    expect((await bob.call('sync', { body: { cursors: {} } })).added).toHaveLength(299);
  });

  it('names as gone only what one was a member of', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('group');
    const { removed } = await bob.call('sync', { body: { cursors: { [id]: 0, 'never-was': 3 } } });
    expect(removed).toEqual([]);
  });
});
