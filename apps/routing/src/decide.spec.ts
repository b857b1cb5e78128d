import { describe, expect, it } from '@jest/globals';
import {
  type CommandBody,
  type ConversationFacts,
  DEFAULT_WORKSPACE,
  entryId,
  type LogEntry,
  type MembershipInterval,
  type MessageEntry,
  type Role,
  seq,
  type UserId,
  type WorkspaceId,
} from '@parley/contracts';
import { applyChange, foldMessage, type MessageState } from '@parley/conversation';
import { clientKey, EMPTY_HEAD } from '@parley/conversation-log';

import { decide, type Facts } from './decide.js';
import { ANN, BOB, CAT, commandTo, freshId, say } from './routing-fixture.js';
import { CLIENT_ID_TTL_MS, ConversationState } from './state.js';

const C1 = freshId();
const command = (body: CommandBody, by: UserId = ANN) => commandTo(C1, body, by);
const NOW = Date.UTC(2026, 0, 1);
const HEAD = 10;
const place = (at: number, senderId: UserId) => ({
  conversationId: C1,
  seq: seq(at),
  id: entryId(C1, at),
  senderId,
  sentAt: new Date(NOW - 60_000).toISOString(),
});
const message = (at: number, by: UserId, more: Partial<MessageEntry> = {}): MessageEntry => ({
  ...place(at, by),
  kind: 'message',
  clientId: `k${at}`,
  content: { type: 'text', text: `k${at}` },
  ...more,
});

interface Given {
  readonly conversation?: Partial<ConversationFacts>;
  readonly members?: Readonly<Record<string, Role | readonly MembershipInterval[]>>;
  readonly messages?: readonly MessageState[];
  readonly tail?: readonly MessageEntry[];
  readonly found?: readonly MessageEntry[];
}

/** Ann (owner) and Bob (member) in a group whose history starts on joining, at entry 10. */
function facts({ conversation = {}, members = { ann: 'owner', bob: 'member' }, ...given }: Given = {}): Facts {
  const state = new ConversationState(
    { ...EMPTY_HEAD, seq: seq(HEAD), lastAtMs: NOW - 1_000 },
    {
      workspaceId: DEFAULT_WORKSPACE,
      id: C1,
      type: 'group',
      name: 'plans',
      topic: null,
      visibility: 'private',
      history: 'joined',
      createdBy: ANN,
      createdAt: new Date(0).toISOString(),
      deletedAt: null,
      memberCount: Object.keys(members).length,
      appliedSeq: seq(0),
      ...conversation,
    },
    (given.tail ?? []).map((entry) => ({ entry, json: '', ordinal: 0, memberSeq: seq(0) })),
    seq(0),
  );
  const intervals = Object.entries(members).map(([userId, of]): [UserId, readonly MembershipInterval[]] => [
    userId as UserId,
    typeof of === 'string' ? [{ role: of, joinedSeq: seq(0), leftSeq: null }] : of,
  ]);
  state.learn(new Map(intervals), [...intervals.map(([userId]) => userId), 'stranger' as UserId]);
  const owners = intervals.filter(([userId]) => state.role(userId) === 'owner').map(([userId]) => userId);
  return {
    state,
    targets: new Map((given.messages ?? []).map((target) => [target.entry.seq, target])),
    owners: new Set(owners),
    found: new Map(
      (given.found ?? []).map((entry) => [
        clientKey({ senderId: entry.senderId, clientId: entry.clientId ?? '' }),
        entry,
      ]),
    ),
    rules: { contentTypes: new Set(['poll']), groupMembersMax: 4 },
    nowMs: NOW,
  };
}

const of = (body: CommandBody, by: UserId, given: Given = {}) => decide(command(body, by), seq(HEAD + 1), facts(given));
const outcome = (body: CommandBody, by: UserId, given: Given = {}): string => {
  const decision = of(body, by, given);
  return decision.kind === 'refused' ? decision.refusal.code : decision.kind;
};
const entryOf = (body: CommandBody, by: UserId, given: Given = {}): LogEntry => {
  const decision = of(body, by, given);
  if (decision.kind !== 'append') throw new Error(JSON.stringify(decision));
  return decision.entry;
};
const STRANGER = 'stranger' as UserId;
const CHANNEL = { type: 'channel', history: 'all' } as const;
const PUBLIC = { ...CHANNEL, visibility: 'public' } as const;

describe('a message', () => {
  it('becomes an entry at the next position, with the time of now', () => {
    const body = { ...say('k', 'hello'), mentions: ['bob'] };
    expect(entryOf(body, ANN)).toEqual({
      ...place(HEAD + 1, ANN),
      sentAt: new Date(NOW).toISOString(),
      kind: 'message',
      clientId: 'k',
      content: { type: 'text', text: 'hello' },
      mentions: ['bob'],
    });
  });

  it('is never older than the entry before it, though clocks differ', () => {
    const given = facts();
    given.state.head = { ...given.state.head, lastAtMs: NOW + 5_000 };
    const decision = decide(command(say('k')), seq(11), given);
    expect(decision).toMatchObject({ entry: { sentAt: new Date(NOW + 5_000).toISOString() } });
  });

  it('is not found by strangers, former members, people of another workspace, nor in what was deleted', () => {
    const former = [{ role: 'member', joinedSeq: seq(0), leftSeq: seq(7) }] as const;
    expect(outcome(say('k'), STRANGER)).toBe('not_found');
    expect(outcome(say('k'), BOB, { members: { ann: 'owner', bob: former } })).toBe('not_found');
    expect(outcome(say('k'), ANN, { conversation: { workspaceId: 'other' as WorkspaceId } })).toBe('not_found');
    expect(outcome(say('k'), ANN, { conversation: { deletedAt: new Date(NOW).toISOString() } })).toBe('not_found');
  });

  it('may mention everyone only where the role permits', () => {
    const everyone = { ...say('k'), mentions: ['@channel'] };
    expect(outcome(everyone, BOB)).toBe('append');
    expect(outcome(everyone, BOB, { members: { ann: 'owner', bob: 'guest' } })).toBe('forbidden');
  });

  it('has a content type that is registered', () => {
    const with_ = (content: { type: string }) => ({ kind: 'message', clientId: 'k', content }) as CommandBody;
    expect(outcome(with_({ type: 'poll' }), ANN)).toBe('append');
    expect(outcome(with_({ type: 'encrypted' }), ANN)).toBe('append');
    expect(outcome(with_({ type: 'survey' }), ANN)).toBe('unsupported');
  });

  it('replies to a message that its author may see', () => {
    const parent = foldMessage(message(5, ANN), []);
    const reply = { ...say('k'), parentSeq: 5 };
    expect(entryOf(reply, BOB, { messages: [parent] })).toMatchObject({ parentSeq: 5 });
    expect(outcome({ ...reply, parentSeq: 6 }, BOB, { messages: [parent] })).toBe('not_found');
    const joinedLater = { ann: 'owner', bob: [{ role: 'member', joinedSeq: seq(6), leftSeq: null }] } as const;
    expect(outcome(reply, BOB, { messages: [parent], members: joinedLater })).toBe('not_found');
  });
});

describe('a resend', () => {
  const first = message(5, ANN, { mentions: ['bob'] });
  const again = { ...say('k5'), mentions: ['bob'] };

  it('gives the first message, from memory or from the log', () => {
    expect(of(again, ANN, { tail: [first] })).toEqual({ kind: 'duplicate', entry: first });
    expect(of(again, ANN, { found: [first] })).toEqual({ kind: 'duplicate', entry: first });
  });

  it('is refused when it says something else', () => {
    for (const other of [say('k5', 'other'), say('k5'), { ...again, parentSeq: 3 }, { ...again, mentions: [] }]) {
      expect(outcome(other, ANN, { tail: [first] })).toBe('idempotency_conflict');
    }
  });

  it('is another message when another person sends it, or after seven days', () => {
    expect(outcome(again, BOB, { tail: [first] })).toBe('append');
    const old = { ...first, sentAt: new Date(NOW - CLIENT_ID_TTL_MS).toISOString() };
    const recent = { ...first, sentAt: new Date(NOW - CLIENT_ID_TTL_MS + 1).toISOString() };
    expect(outcome(again, ANN, { found: [old] })).toBe('append');
    expect(outcome(again, ANN, { found: [recent] })).toBe('duplicate');
  });

  it('of a message that was deleted is the deleted message', () => {
    const gone = { ...first, content: null, deletedAt: new Date(NOW).toISOString() };
    expect(of(say('k5', 'whatever'), ANN, { found: [gone] })).toEqual({ kind: 'duplicate', entry: gone });
  });
});

describe('a change of a message', () => {
  const target = foldMessage(message(5, ANN), []);
  const given = { messages: [target] };
  const edit = { kind: 'edit', targetSeq: 5, content: { type: 'text', text: 'x' } } as const;
  const remove = { kind: 'delete', targetSeq: 5 } as const;
  const react = { kind: 'reaction', targetSeq: 5, emoji: '👍', op: 'add' } as const;
  const pin = { kind: 'pin', targetSeq: 5, op: 'add' } as const;
  const all: readonly CommandBody[] = [edit, remove, react, pin];

  it('needs a message', () => {
    for (const body of all) expect(outcome({ ...body, targetSeq: 4 } as CommandBody, ANN, given)).toBe('not_found');
  });

  it('needs a message that the person may see', () => {
    const members = { ann: 'owner', bob: [{ role: 'admin', joinedSeq: seq(6), leftSeq: null }] } as const;
    for (const body of all)
      expect([body.kind, outcome(body, BOB, { ...given, members })]).toEqual([body.kind, 'not_found']);
    const open = { ...given, members, conversation: { history: 'all' } } as const;
    expect(outcome(react, BOB, open)).toBe('append');
  });

  it('is an edit by its author alone', () => {
    expect(entryOf(edit, ANN, given)).toMatchObject({ kind: 'edit', targetSeq: 5, content: { text: 'x' } });
    expect(outcome(edit, BOB, { ...given, members: { ann: 'owner', bob: 'owner' } })).toBe('forbidden');
    expect(outcome({ ...edit, content: { type: 'survey' } }, ANN, given)).toBe('unsupported');
  });

  it('is a deletion by its author, or by an admin', () => {
    expect(outcome(remove, ANN, given)).toBe('append');
    expect(outcome(remove, BOB, given)).toBe('forbidden');
    expect(outcome(remove, BOB, { ...given, members: { ann: 'member', bob: 'admin' } })).toBe('append');
  });

  it('can do nothing to what is gone, and deleting again changes nothing', () => {
    const gone = { messages: [applyChange(target, { ...place(8, ANN), kind: 'delete', targetSeq: seq(5) })] };
    for (const body of [edit, react, pin]) expect(outcome(body, ANN, gone)).toBe('not_found');
    expect(of(remove, ANN, gone)).toEqual({ kind: 'unchanged', seq: 8 });
    expect(outcome(remove, BOB, gone)).toBe('not_found');
  });

  it('is a reaction once: the second names the entry that said it', () => {
    const reacted = {
      messages: [
        applyChange(target, { ...place(8, BOB), kind: 'reaction', targetSeq: seq(5), emoji: '👍', op: 'add' }),
      ],
    };
    expect(of(react, BOB, reacted)).toEqual({ kind: 'unchanged', seq: 8 });
    expect(outcome(react, ANN, reacted)).toBe('append');
    expect(outcome({ ...react, op: 'remove' }, BOB, reacted)).toBe('append');
    expect(outcome({ ...react, op: 'remove' }, ANN, reacted)).toBe('unchanged');
  });

  it('is a pin once, by those who may', () => {
    const pinned = { messages: [applyChange(target, { ...place(8, ANN), kind: 'pin', targetSeq: seq(5), op: 'add' })] };
    expect(of(pin, BOB, pinned)).toEqual({ kind: 'unchanged', seq: 8 });
    expect(outcome({ ...pin, op: 'remove' }, BOB, pinned)).toBe('append');
    expect(outcome({ ...pin, op: 'remove' }, BOB, given)).toBe('unchanged');
    expect(outcome(pin, BOB, { ...given, members: { ann: 'owner', bob: 'guest' } })).toBe('forbidden');
  });
});

describe('membership', () => {
  const add = (...userIds: string[]) => ({ kind: 'member', op: 'added', userIds: userIds as UserId[] }) as const;
  const remove = (...userIds: string[]) => ({ kind: 'member', op: 'removed', userIds: userIds as UserId[] }) as const;
  const roleOf = (userId: string, role: Role) =>
    ({ kind: 'member', op: 'role', userIds: [userId as UserId], role }) as const;

  it('adds those who are not members yet, each once', () => {
    expect(entryOf(add('bob', 'cat', 'cat', 'dan'), BOB)).toMatchObject({
      op: 'added',
      userIds: ['cat', 'dan'],
      role: 'member',
    });
    expect(of(add('bob'), BOB)).toEqual({ kind: 'unchanged', seq: HEAD });
    expect(outcome(add('cat'), BOB, { members: { ann: 'owner', bob: 'guest' } })).toBe('forbidden');
    expect(outcome({ ...add('cat'), role: 'admin' }, BOB)).toBe('forbidden');
  });

  it('keeps groups small enough to fan out on write, and direct conversations between two', () => {
    expect(outcome(add('cat', 'dan'), ANN)).toBe('append');
    expect(outcome(add('cat', 'dan', 'eve'), ANN)).toBe('invalid');
    expect(outcome(add('cat', 'dan', 'eve'), ANN, { conversation: CHANNEL })).toBe('append');
    expect(outcome(add('cat'), ANN, { conversation: { type: 'direct' } })).toBe('forbidden');
  });

  it('removes members of a lower role', () => {
    const members = { ann: 'owner', bob: 'admin', cat: 'member', dan: 'admin' } as const;
    expect(entryOf(remove('cat', 'nobody'), BOB, { members })).toMatchObject({ op: 'removed', userIds: ['cat'] });
    expect(outcome(remove('dan'), BOB, { members })).toBe('forbidden');
    expect(outcome(remove('ann'), BOB, { members })).toBe('forbidden');
    expect(outcome(remove('bob'), CAT, { members })).toBe('forbidden');
    expect(outcome(remove('nobody'), ANN, { members })).toBe('not_found');
    expect(outcome(remove('cat'), CAT, { members })).toBe('append');
  });

  it('never leaves others without an owner', () => {
    const two = { ann: 'owner', bob: 'owner', cat: 'member' } as const;
    expect(outcome({ kind: 'leave' }, ANN)).toBe('conflict');
    expect(outcome(remove('ann'), ANN)).toBe('conflict');
    expect(outcome(roleOf('ann', 'member'), ANN)).toBe('conflict');
    expect(outcome(remove('ann', 'bob'), ANN, { members: two })).toBe('conflict');
    expect(outcome({ kind: 'leave' }, ANN, { members: two })).toBe('append');
    expect(outcome({ kind: 'leave' }, BOB)).toBe('append');
    expect(outcome({ kind: 'leave' }, ANN, { members: { ann: 'owner' } })).toBe('append');
    expect(outcome({ kind: 'leave' }, BOB, { conversation: { type: 'direct' } })).toBe('forbidden');
  });

  it('changes roles within one’s own', () => {
    const members = { ann: 'owner', bob: 'admin', cat: 'member' } as const;
    expect(entryOf(roleOf('cat', 'admin'), BOB, { members })).toMatchObject({
      op: 'role',
      userIds: ['cat'],
      role: 'admin',
    });
    expect(outcome(roleOf('cat', 'owner'), BOB, { members })).toBe('forbidden');
    expect(outcome(roleOf('ann', 'member'), BOB, { members })).toBe('forbidden');
    expect(outcome(roleOf('cat', 'guest'), CAT, { members })).toBe('forbidden');
    expect(outcome(roleOf('nobody', 'guest'), ANN, { members })).toBe('not_found');
    expect(of(roleOf('cat', 'member'), ANN, { members })).toEqual({ kind: 'unchanged', seq: HEAD });
  });

  it('is open to everyone of the workspace in public channels only', () => {
    expect(entryOf({ kind: 'join' }, STRANGER, { conversation: PUBLIC })).toMatchObject({
      kind: 'member',
      op: 'added',
      userIds: [STRANGER],
      role: 'member',
    });
    expect(outcome({ kind: 'join' }, STRANGER, { conversation: CHANNEL })).toBe('not_found');
    expect(outcome({ kind: 'join' }, STRANGER)).toBe('not_found');
    expect(outcome({ kind: 'join' }, BOB, { conversation: PUBLIC })).toBe('unchanged');
    const elsewhere = { ...PUBLIC, workspaceId: 'other' as WorkspaceId };
    expect(outcome({ kind: 'join' }, STRANGER, { conversation: elsewhere })).toBe('not_found');
  });

  it('lets nobody speak in a public channel without having joined', () => {
    expect(outcome(say('k'), STRANGER, { conversation: PUBLIC })).toBe('not_found');
  });
});

describe('settings', () => {
  const set = (changes: object) => ({ kind: 'settings', changes }) as CommandBody;

  it('say what really changes', () => {
    expect(entryOf(set({ name: 'new', topic: null }), BOB)).toMatchObject({
      kind: 'settings',
      changes: { name: 'new' },
    });
    expect(of(set({ name: 'plans' }), BOB)).toEqual({ kind: 'unchanged', seq: HEAD });
  });

  it('are an admin’s in channels, and ending a conversation an owner’s', () => {
    expect(outcome(set({ name: 'new' }), BOB, { conversation: CHANNEL })).toBe('forbidden');
    expect(outcome(set({ deleted: true }), BOB)).toBe('forbidden');
    expect(outcome(set({ deleted: true }), ANN)).toBe('append');
    expect(outcome(set({ name: 'x' }), ANN, { conversation: { type: 'direct' } })).toBe('forbidden');
  });

  it('make only channels public', () => {
    expect(outcome(set({ visibility: 'public' }), ANN)).toBe('invalid');
    expect(outcome(set({ visibility: 'public' }), ANN, { conversation: CHANNEL })).toBe('append');
  });
});
