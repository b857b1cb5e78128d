import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ConversationType, DEFAULT_WORKSPACE, type History, seq } from '@parley/contracts';

import { ANN, BOB, CAT, DAN, DeliveryFixture, labelOf, openStores, type Stores } from './delivery-fixture.js';

let stores: Stores;
beforeAll(async () => {
  stores = await openStores();
});
afterAll(() => stores.close());

const open = (type?: ConversationType, history?: History) => DeliveryFixture.open(stores, type, history);
const hello = { kind: 'message' } as const;
const add = (...userIds: (typeof ANN)[]) => ({ kind: 'member', op: 'added', userIds }) as const;
const remove = (...userIds: (typeof ANN)[]) => ({ kind: 'member', op: 'removed', userIds }) as const;

describe('an entry of a group', () => {
  it('is one event to each member, in order of the log, and to nobody else', async () => {
    const given = await (await open()).create([ANN, BOB, CAT]);
    await given.say(hello, { kind: 'edit', targetSeq: 1 }, hello, { kind: 'delete', targetSeq: 1 });
    for (const member of [ANN, BOB, CAT]) {
      expect(given.receivedBy(member)).toEqual([
        'message.new 1',
        'message.updated 2',
        'message.new 3',
        'message.deleted 4',
      ]);
    }
    expect(given.receivedBy(DAN)).toEqual([]);
  });

  it('is the JSON of the log, byte for byte', async () => {
    const given = await (await open()).create([ANN, BOB]);
    await given.say(hello);
    const [stored] = await stores.log.read(given.id, { after: seq(0), limit: 1 });
    expect(given.pushed[0]?.push.frames).toEqual([{ event: 'message.new', data: stored?.json }]);
  });

  it('is one push to each chat server that holds a recipient, with those that it holds', async () => {
    const given = await (await open()).create([ANN, BOB, CAT], [CAT]);
    await given.connect(CAT, 'chat-2');
    await given.connect(ANN, 'chat-2');
    await given.say(hello, hello);
    const pushes = given.pushed.map(({ server, push }) => [server, [...push.userIds].sort(), push.frames.map(labelOf)]);
    expect(pushes.sort()).toEqual([
      ['chat-1', ['ann', 'bob'], ['message.new 1']],
      ['chat-1', ['ann', 'bob'], ['message.new 2']],
      ['chat-2', ['ann', 'cat'], ['message.new 1']],
      ['chat-2', ['ann', 'cat'], ['message.new 2']],
    ]);
  });

  it('leaves out the session that has its acknowledgement, and no other', async () => {
    const given = await (await open()).create([ANN, BOB]);
    const { entries, ...record } = await given.write(hello, hello);
    const [first, second] = entries;
    if (first === undefined || second === undefined) throw new Error('two were written');
    await given.delivery.consume([{ ...record, entries: [{ ...first, originSessionId: 's1' as never }, second] }]);
    expect(given.pushed.map(({ push }) => push.exceptSessionId)).toEqual(['s1', undefined]);
  });

  for (const history of ['joined', 'all'] as const) {
    it(`is for those who were members as of it, in one batch and with history ${history}`, async () => {
      const given = await (await open('group', history)).create([ANN, BOB]);
      await given.say(hello, add(CAT), hello, remove(BOB), hello, add(BOB), hello, remove(CAT), hello);
      expect(given.receivedBy(ANN)).toEqual([
        'message.new 1',
        'member.added 2',
        'message.new 3',
        'member.removed 4',
        'message.new 5',
        'member.added 6',
        'message.new 7',
        'member.removed 8',
        'message.new 9',
      ]);
      const bob = ['message.new 1', 'member.added 2', 'message.new 3', 'member.removed 4', 'conversation.deleted'];
      expect(given.receivedBy(BOB)).toEqual([
        ...bob,
        'conversation.created',
        'member.added 6',
        'message.new 7',
        'member.removed 8',
        'message.new 9',
      ]);
      // Cat is gone again by the time of this batch, so there is no conversation to show.
      expect(given.receivedBy(CAT)).toEqual([
        'member.added 2',
        'message.new 3',
        'member.removed 4',
        'message.new 5',
        'member.added 6',
        'message.new 7',
        'member.removed 8',
        'conversation.deleted',
      ]);
    });
  }

  it('comes after the conversation to those it adds', async () => {
    const given = await (await open()).create([ANN]);
    await given.say(add(BOB));
    expect(given.receivedBy(BOB)).toEqual(['conversation.created', 'member.added 1']);
    expect(given.receivedBy(ANN)).toEqual(['member.added 1']);
  });

  it('is judged by the log where the directory lags', async () => {
    const given = await (await open()).create([ANN, BOB]);
    await given.say(hello);
    await given.say(remove(BOB));
    await given.say(hello);
    expect(given.receivedBy(BOB)).toEqual(['message.new 1', 'member.removed 2', 'conversation.deleted']);
  });
});

describe('delivering again', () => {
  it('leaves out what was delivered before', async () => {
    const given = await (await open()).create([ANN, BOB]);
    const first = await given.write(hello, hello);
    const second = await given.write(hello);
    await given.delivery.consume([first, first]);
    await given.delivery.consume([first]);
    await given.delivery.consume([given.record(), second]);
    expect(given.receivedBy(BOB)).toEqual(['message.new 1', 'message.new 2', 'message.new 3']);
  });

  it('reads what is missing in between from the log', async () => {
    const given = await (await open()).create([ANN, BOB]);
    await given.say(hello);
    await given.write(hello, { kind: 'edit', targetSeq: 1 });
    await given.write(remove(BOB));
    await given.say(hello);
    expect(given.receivedBy(ANN)).toEqual([
      'message.new 1',
      'message.new 2',
      'message.updated 3',
      'member.removed 4',
      'message.new 5',
    ]);
    expect(given.receivedBy(BOB).slice(1)).toEqual([
      'message.new 2',
      'message.updated 3',
      'member.removed 4',
      'conversation.deleted',
    ]);
  });

  it('does everything again that failed', async () => {
    const given = await (await open()).create([ANN, BOB]);
    const record = await given.write(hello);
    given.failingQuestions = 1;
    await expect(given.delivery.consume([record])).rejects.toMatchObject({ code: 'unavailable' });
    expect(given.receivedBy(BOB)).toEqual([]);
    await given.delivery.consume([record]);
    expect(given.receivedBy(BOB)).toEqual(['message.new 1']);
  });

  it('is what the bus does', async () => {
    const given = await (await open()).create([ANN, BOB]);
    await given.delivery.start();
    given.failingQuestions = 2;
    await given.bus.publish('messages', [{ key: given.id, value: await given.write(hello) }]);
    expect(given.receivedBy(BOB)).toEqual(['message.new 1']);
    await given.delivery.stop();
  });
});

describe('while the session registry is away', () => {
  it('asks every chat server, and tells by inbox those whom none of them has', async () => {
    const given = await (await open()).create([ANN, BOB, CAT, DAN], [DAN]);
    await given.connect(CAT, 'chat-2');
    given.registryAway = true;
    await given.say(hello);
    expect(given.pushed.map(({ server, push }) => [server, push.userIds.length])).toEqual([
      ['chat-1', 4],
      ['chat-2', 4],
    ]);
    expect(given.inboxed).toEqual(['dan 1 group']);
  });
});

describe('while the frame bus is away', () => {
  it('calls every chat server with what is for a room', async () => {
    const given = await (await open('channel', 'all')).create([ANN, BOB]);
    given.framesAway = true;
    await given.say(hello, hello);
    expect(given.roomCalls.map(({ server, push }) => `${server} ${push.seq}`)).toEqual([
      'chat-1 1',
      'chat-1 2',
      'chat-2 1',
      'chat-2 2',
    ]);
    expect(given.roomFrames).toEqual([]);
  });
});

describe('entries that come by a call, because the bus is away', () => {
  it('are pushed at once; the bus brings the inbox later, and nothing live again', async () => {
    const given = await (await open()).create([ANN, BOB, CAT], [CAT]);
    const record = await given.write(hello, hello);
    await given.delivery.deliver([record]);
    await given.delivery.deliver([record]);
    expect(given.receivedBy(BOB)).toEqual(['message.new 1', 'message.new 2']);
    expect(given.inboxed).toEqual([]);
    await given.delivery.consume([record]);
    expect(given.receivedBy(BOB)).toEqual(['message.new 1', 'message.new 2']);
    expect(given.inboxed).toEqual(['cat 1 group', 'cat 2 group']);
    await given.say(hello);
    expect(given.receivedBy(BOB)).toEqual(['message.new 1', 'message.new 2', 'message.new 3']);
  });

  it('do not overtake what the bus brings of the same conversation', async () => {
    const given = await (await open()).create([ANN, BOB]);
    const [first, second] = [await given.write(hello), await given.write(hello)];
    await Promise.all([given.delivery.consume([first]), given.delivery.deliver([second])]);
    expect(given.receivedBy(BOB)).toEqual(['message.new 1', 'message.new 2']);
  });

  it('reach a channel as everything else does', async () => {
    const given = await (await open('channel', 'all')).create([ANN, BOB, CAT], [CAT]);
    const record = await given.write({ kind: 'message', mentions: ['cat'] });
    await given.delivery.deliver([record]);
    await given.delivery.consume([record]);
    expect(given.roomFrames.map(({ seq: at }) => at)).toEqual([1]);
    expect(given.inboxed).toEqual(['cat 1 mention']);
  });
});

describe('a conversation of which the directory cannot tell the members', () => {
  it('does not keep the others of its batch waiting', async () => {
    const given = await (await open()).create([ANN, BOB]);
    const other = await (await open()).create([ANN, CAT]);
    given.failingQuestions = 1;
    const records = [await given.write(hello), await other.write(hello)];
    await expect(given.delivery.consume(records)).rejects.toMatchObject({ code: 'unavailable' });
    expect(given.pushed.map(({ push }) => [...push.userIds])).toEqual([['ann', 'cat']]);
    await given.delivery.consume(records);
    expect(given.pushed.map(({ push }) => [...push.userIds])).toEqual([
      ['ann', 'cat'],
      ['ann', 'bob'],
    ]);
  });
});

describe('the inbox', () => {
  it('is for members without a live session, and not for the author', async () => {
    const given = await (await open()).create([ANN, BOB, CAT, DAN], [ANN, CAT, DAN]);
    await given.say(hello, { kind: 'edit', targetSeq: 1 });
    expect(given.inboxed).toEqual(['cat 1 group', 'dan 1 group']);
  });

  it('says so for direct conversations', async () => {
    const given = await (await open('direct', 'all')).create([ANN, BOB], [BOB]);
    await given.say(hello);
    expect(given.inboxed).toEqual(['bob 1 direct']);
  });

  it('is for those whose chat server does not answer', async () => {
    const given = await (await open()).create([ANN, BOB, CAT], [CAT]);
    await given.connect(CAT, 'chat-2');
    given.unreachable.add('chat-1');
    await given.say(hello);
    expect(given.inboxed).toEqual(['bob 1 group']);
    expect(given.receivedBy(CAT)).toEqual(['message.new 1']);
  });

  it('is, in a channel, for members who are mentioned by name, and for nobody else who is', async () => {
    const given = await (await open('channel', 'all')).create([ANN, BOB, CAT], [ANN, BOB, CAT, DAN]);
    await given.say(hello, { kind: 'message', mentions: ['bob', 'dan', 'nobody', 'here', 'ann'] });
    expect(given.inboxed).toEqual(['bob 2 mention']);
    await given.say(remove(BOB), { kind: 'message', mentions: ['bob', 'cat'] });
    expect(given.inboxed).toEqual(['bob 2 mention', 'cat 4 mention']);
  });

  it('is not, in a channel, for those who are there', async () => {
    const given = await (await open('channel', 'all')).create([ANN, BOB]);
    await given.say({ kind: 'message', mentions: ['bob'] });
    expect(given.inboxed).toEqual([]);
  });
});

describe('an entry of a channel', () => {
  const labels = (given: DeliveryFixture): string[] => given.roomFrames.flatMap(({ frames }) => frames.map(labelOf));

  it('is one frame to the room, with the membership that it is as of', async () => {
    const given = await (await open('channel', 'all')).create([ANN, BOB]);
    await given.say(hello, add(CAT), hello, remove(CAT));
    expect(labels(given)).toEqual(['message.new 1', 'member.added 2', 'message.new 3', 'member.removed 4']);
    expect(
      given.roomFrames.map(({ seq: at, showsSeq, memberSeq, prevMemberSeq }) => [
        at,
        showsSeq,
        memberSeq,
        prevMemberSeq,
      ]),
    ).toEqual([
      [1, 1, 0, 0],
      [2, 2, 2, 0],
      [3, 3, 2, 2],
      [4, 4, 4, 2],
    ]);
    expect(given.roomFrames.map(({ exceptUserIds, removes }) => [exceptUserIds, removes])).toEqual([
      [undefined, undefined],
      [['cat'], undefined],
      [undefined, undefined],
      [['cat'], ['cat']],
    ]);
  });

  it('comes by name to those it adds and removes, with their room', async () => {
    const given = await (await open('channel', 'all')).create([ANN]);
    await given.say(add(CAT));
    await given.say(remove(CAT));
    expect(given.receivedBy(CAT)).toEqual([
      'conversation.created',
      'member.added 1',
      'member.removed 2',
      'conversation.deleted',
    ]);
    expect(given.pushed.map(({ push }) => push.room)).toEqual([
      { op: 'join', channel: { conversationId: given.id, joinedSeq: 1, appliedSeq: 1 } },
      { op: 'leave', conversationId: given.id, asOf: 2 },
    ]);
  });

  it('that was missed claims no older membership than it has: a room that missed the removal has to ask', async () => {
    const given = await (await open('channel', 'all')).create([ANN, BOB]);
    await given.say(hello, remove(BOB), hello);
    await given.write(hello);
    await given.say(hello);
    expect(given.roomFrames.map(({ seq: at, prevMemberSeq }) => [at, prevMemberSeq]).slice(3)).toEqual([
      [4, 2],
      [5, 2],
    ]);
  });
});

describe('a thread', () => {
  const reply = { kind: 'message', parentSeq: 1 } as const;
  const summary = (data: string | undefined) => JSON.parse(data ?? '{}') as object;

  it('is told of once for all replies of a batch, after them', async () => {
    const given = await (await open()).create([ANN, BOB]);
    await given.say(hello, reply, reply);
    expect(given.receivedBy(BOB)).toEqual(['message.new 1', 'message.new 2', 'message.new 3', 'thread.updated 1']);
    expect(summary(given.pushed.at(-1)?.push.frames[0]?.data)).toEqual({
      conversationId: given.id,
      parentSeq: 1,
      replyCount: 2,
      lastReplyAt: new Date(3_000).toISOString(),
      participants: ['ann'],
    });
  });

  it('is not told of to those who may not see where it hangs', async () => {
    const given = await (await open()).create([ANN, BOB]);
    await given.say(hello, add(CAT), reply);
    expect(given.receivedBy(CAT)).toEqual(['conversation.created', 'member.added 2', 'message.new 3']);
    expect(given.receivedBy(BOB).at(-1)).toBe('thread.updated 1');
  });

  it('is told of in a channel’s room as of the reply’s membership', async () => {
    const given = await (await open('channel', 'joined')).create([ANN, BOB]);
    await given.say(hello, add(CAT), reply);
    const frame = given.roomFrames.at(-1);
    expect(frame?.frames.map(labelOf)).toEqual(['thread.updated 1']);
    expect(frame).toMatchObject({ seq: 0, showsSeq: 1, memberSeq: 2, prevMemberSeq: 2, history: 'joined' });
  });
});

describe('a conversation that was created', () => {
  it('is announced to those of its members who are online', async () => {
    const given = await (await open('channel', 'all')).create([ANN, BOB, CAT], [CAT]);
    await given.delivery.start();
    const facts = await stores.directory.conversation(given.id);
    if (facts === null) throw new Error('it was created');
    await given.bus.publish('directory', [
      {
        key: given.id,
        value: {
          kind: 'conversation.created',
          workspaceId: DEFAULT_WORKSPACE,
          conversation: { ...facts, updatedAt: facts.createdAt, head: seq(0) },
          members: [ANN, BOB, CAT].map((userId) => ({ userId, role: 'member' })),
        },
      },
    ]);
    expect([ANN, BOB, CAT, DAN].map((userId) => given.receivedBy(userId))).toEqual([
      ['conversation.created'],
      ['conversation.created'],
      [],
      [],
    ]);
    expect(given.pushed[0]?.push.room).toEqual({
      op: 'join',
      channel: { conversationId: given.id, joinedSeq: 0, appliedSeq: 0 },
    });
    await given.delivery.stop();
  });
});
