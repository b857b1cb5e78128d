import { describe, expect, it } from '@jest/globals';
import { type LogEntry, Message, type UserId } from '@parley/contracts';
import fc from 'fast-check';

import { ANN, BOB, CAT, edit, message, pin, react, remove, sentAt, text } from './entries-fixture.js';
import { applyChange, changesByTarget, foldMessage, viewMessage } from './fold.js';

const PEOPLE = [ANN, BOB, CAT] as const;
type Pick = (at: number) => LogEntry;

/** A change of message 1 (mostly) or of message 2. */
const change: fc.Arbitrary<Pick> = fc
  .record({
    kind: fc.constantFrom('edit', 'edit', 'reaction', 'reaction', 'reaction', 'pin', 'delete'),
    by: fc.constantFrom(...PEOPLE),
    emoji: fc.constantFrom('👍', '🎉', '🙈'),
    op: fc.constantFrom('add' as const, 'add' as const, 'remove' as const),
    target: fc.constantFrom(1, 1, 1, 2),
    keep: fc.boolean(),
  })
  .map(({ kind, by, emoji, op, target, keep }) => (at) => {
    if (kind === 'edit') return edit(at, target, text(`edit ${at}`), by);
    if (kind === 'reaction') return react(at, target, emoji, by, op);
    if (kind === 'pin') return pin(at, target, op, by);
    // Deletes end most of what there is to see, so only some are kept.
    return keep ? remove(at, target, by) : react(at, target, emoji, by, op);
  });
const changes = fc.array(change, { maxLength: 25 }).map((picks) => picks.map((pick, index) => pick(index + 3)));

/** The same by going through the list once for each question. */
function naively(entries: readonly LogEntry[], viewer: UserId) {
  const own = entries.filter((entry) => 'targetSeq' in entry && entry.targetSeq === 1);
  const deleted = own.find(({ kind }) => kind === 'delete');
  if (deleted !== undefined) return { content: null, deletedAt: deleted.sentAt };
  const lastEdit = own.findLast((entry) => entry.kind === 'edit');
  const lastPin = own.findLast((entry) => entry.kind === 'pin');
  const emojis: string[] = [];
  const reacted: { emoji: string; by: UserId }[] = [];
  for (const entry of own) {
    if (entry.kind !== 'reaction') continue;
    const { emoji, senderId: by, op } = entry;
    const index = reacted.findIndex((each) => each.emoji === emoji && each.by === by);
    if (op === 'add' && index < 0) reacted.push({ emoji, by });
    if (op === 'remove' && index >= 0) reacted.splice(index, 1);
    const used = reacted.some((each) => each.emoji === emoji);
    if (used && !emojis.includes(emoji)) emojis.push(emoji);
    if (!used && emojis.includes(emoji)) emojis.splice(emojis.indexOf(emoji), 1);
  }
  const reactions = emojis.map((emoji) => {
    const userIds = reacted.filter((each) => each.emoji === emoji).map(({ by }) => by);
    return { emoji, count: userIds.length, userIds, me: userIds.includes(viewer) };
  });
  return {
    content: lastEdit?.kind === 'edit' ? lastEdit.content : text('message 1'),
    ...(lastEdit === undefined ? {} : { editedAt: lastEdit.sentAt }),
    ...(reactions.length === 0 ? {} : { reactions }),
    ...(lastPin?.kind === 'pin' && lastPin.op === 'add'
      ? { pinned: { by: lastPin.senderId, at: lastPin.sentAt } }
      : {}),
  };
}

const place = { conversationId: 'c1', seq: 1, id: 'c1.1', senderId: ANN, sentAt: sentAt(1) };

describe('a message as it now reads', () => {
  it('is what its entry and all changes make of it, for each viewer', () => {
    fc.assert(
      fc.property(changes, fc.constantFrom(...PEOPLE), (entries, viewer) => {
        const view = viewMessage(foldMessage(message(1), entries), viewer);
        expect(view).toEqual({ ...place, ...naively(entries, viewer) });
        expect(Message.safeParse(view).success).toBe(true);
      }),
    );
  });

  it('comes out the same whether changes are folded at once or one after the other', () => {
    fc.assert(
      fc.property(changes, (entries) => {
        const oneByOne = entries.reduce(applyChange, foldMessage(message(1), []));
        expect(viewMessage(oneByOne, ANN)).toEqual(viewMessage(foldMessage(message(1), entries), ANN));
      }),
    );
  });

  it('has nothing but its place once it is deleted, whatever happens then', () => {
    const entry = message(1, ANN, { clientId: 'k', mentions: ['bob'] });
    const later = [remove(3, 1), edit(4, 1), react(5, 1, '👍', BOB), pin(6, 1), remove(7, 1)];
    const thread = { count: 2, lastReplyAt: sentAt(9), participants: [BOB] };
    expect(viewMessage(foldMessage(entry, later), BOB, thread)).toEqual({
      ...place,
      clientId: 'k',
      content: null,
      deletedAt: sentAt(3),
      replyCount: 2,
      lastReplyAt: sentAt(9),
      participants: [BOB],
    });
  });

  it('is deleted where the store has redacted the entry, without a delete at hand', () => {
    const view = viewMessage(foldMessage(message(1, ANN, { content: null, deletedAt: sentAt(5) }), []), ANN);
    expect(view).toEqual({ ...place, content: null, deletedAt: sentAt(5) });
  });

  it('lists reactions in order of first use, and a taken-back one that comes again last', () => {
    const entries = [
      react(3, 1, '👍', ANN),
      react(4, 1, '🎉', ANN),
      react(5, 1, '👍', ANN, 'remove'),
      react(6, 1, '👍', BOB),
    ];
    expect(viewMessage(foldMessage(message(1), entries), BOB).reactions).toEqual([
      { emoji: '🎉', count: 1, userIds: [ANN], me: false },
      { emoji: '👍', count: 1, userIds: [BOB], me: true },
    ]);
  });

  it('names fifty who reacted, counts all, and tells the fifty-first that they are among them', () => {
    const users = Array.from({ length: 51 }, (_, index) => `u${index}` as UserId);
    const state = foldMessage(
      message(1),
      users.map((user, index) => react(index + 3, 1, '👍', user)),
    );
    const [reaction] = viewMessage(state, 'u50' as UserId).reactions ?? [];
    expect(reaction).toEqual({ emoji: '👍', count: 51, userIds: users.slice(0, 50), me: true });
  });

  it('shows a thread only when there are replies', () => {
    const view = viewMessage(foldMessage(message(1), []), ANN, { count: 0, lastReplyAt: '', participants: [] });
    expect(view).not.toHaveProperty('replyCount');
  });
});

describe('changes by target', () => {
  it('keeps their order and leaves out what changes no message', () => {
    const groups = changesByTarget([edit(3, 1), message(4), pin(5, 2), edit(6, 1)]);
    expect([...groups].map(([target, of]) => [target, of.map(({ seq }) => seq)])).toEqual([
      [1, [3, 6]],
      [2, [5]],
    ]);
  });
});
