import { describe, expect, it } from '@jest/globals';

import { Content, Emoji, Mentions, MESSAGE_LIMITS } from './content.js';
import { ConversationId, entryId, EntrySeq, Seq, seq, UserId } from './ids.js';

const accepts = (schema: { safeParse(value: unknown): { success: boolean } }, value: unknown): boolean =>
  schema.safeParse(value).success;

describe('a text', () => {
  const ofUnits = (units: number) => ({ type: 'text', text: 'é'.repeat(units) });

  it('has one to 40,000 UTF-16 units', () => {
    expect([0, 1, 40_000, 40_001].map((units) => accepts(Content, ofUnits(units)))).toEqual([false, true, true, false]);
  });

  it('counts a character beyond the basic plane as two', () => {
    expect(accepts(Content, { type: 'text', text: '😀'.repeat(20_000) })).toBe(true);
    expect(accepts(Content, { type: 'text', text: `${'😀'.repeat(20_000)}.` })).toBe(false);
  });

  it('has no half of a character', () => {
    expect(accepts(Content, { type: 'text', text: 'a\ud83d' })).toBe(false);
    expect(accepts(Content, { type: 'text', text: '\ude00a' })).toBe(false);
  });

  it('may hold anything else that JSON can say', () => {
    expect(accepts(Content, { type: 'text', text: '\u0000 \u2028 </script> \u202e' })).toBe(true);
  });
});

describe('other contents', () => {
  const sized = (type: string, bytes: number) => {
    const empty = Buffer.byteLength(JSON.stringify({ type, body: '' }));
    return { type, body: 'x'.repeat(bytes - empty) };
  };

  it('have at most 16 KiB of JSON, encrypted and custom alike', () => {
    for (const type of ['encrypted', 'poll']) {
      const given = [MESSAGE_LIMITS.customMaxBytes, MESSAGE_LIMITS.customMaxBytes + 1].map((bytes) =>
        sized(type, bytes),
      );
      expect(given.map((value) => accepts(Content, value))).toEqual([true, false]);
    }
  });

  it('are measured in bytes, not in units', () => {
    expect(accepts(Content, { type: 'poll', body: 'é'.repeat(8_100) })).toBe(true);
    expect(accepts(Content, { type: 'poll', body: 'é'.repeat(8_200) })).toBe(false);
  });

  it('are nested no deeper than what walks them can go', () => {
    const nested = (levels: number) => {
      let value: unknown = 1;
      for (let level = 1; level < levels; level += 1) value = [value];
      return { type: 'poll', value };
    };
    const { customMaxDepth } = MESSAGE_LIMITS;
    expect([customMaxDepth, customMaxDepth + 1, 8_000].map((levels) => accepts(Content, nested(levels)))).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('keep their fields', () => {
    const poll = { type: 'poll', question: 'Where?', options: ['a', 'b'] };
    expect(Content.parse(poll)).toEqual(poll);
  });

  it('have a type that is a name', () => {
    const types = ['poll', 'acme.poll-2_b', 'Poll', '', '1poll', 'a b', 'x'.repeat(64), 'x'.repeat(65)];
    expect(types.map((type) => accepts(Content, { type }))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
      true,
      false,
    ]);
  });

  it('may be media with a caption', () => {
    expect(accepts(Content, { type: 'media', mediaId: 'm1', text: 'look' })).toBe(true);
    expect(accepts(Content, { type: 'media', mediaId: '' })).toBe(false);
    expect(accepts(Content, { type: 'media', mediaId: 'm1', text: '' })).toBe(false);
  });
});

describe('an emoji', () => {
  it('is a character of any make, or a short name', () => {
    const given = ['👍', '👍🏽', '👨‍👩‍👧‍👦', '❤️', '🇩🇪', ':shipit:', '+1', 'é'];
    expect(given.map((emoji) => accepts(Emoji, emoji))).toEqual(given.map(() => true));
  });

  it('has no blank, control character, slash or half of a character, and is not long', () => {
    const given = ['', ' ', 'a b', 'a\n', '\u0007', 'a/b', '\ud83d', 'x'.repeat(65)];
    expect(given.map((emoji) => accepts(Emoji, emoji))).toEqual(given.map(() => false));
    expect(['x'.repeat(64), '😀'.repeat(32), '😀'.repeat(33)].map((emoji) => accepts(Emoji, emoji))).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe('mentions and ids', () => {
  it('mention at most a hundred', () => {
    expect(
      [100, 101].map((count) =>
        accepts(
          Mentions,
          Array.from({ length: count }, () => 'bob'),
        ),
      ),
    ).toEqual([true, false]);
  });

  it('need no escaping anywhere', () => {
    const given = ['a', 'A_z-9', 'x'.repeat(64), '', 'x'.repeat(65), 'a/b', 'a.b', 'a~b', 'a b', 'é', 5, null];
    expect(given.map((id) => accepts(UserId, id))).toEqual(given.map((_, index) => index < 3));
  });

  it('count positions from 1, and 0 is before the first', () => {
    const given = [-1, 0, 1, 1.5, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER + 1, Number.NaN, '1'];
    expect(given.map((at) => accepts(Seq, at))).toEqual([false, true, true, false, true, false, false, false]);
    expect(accepts(EntrySeq, 0)).toBe(false);
  });

  it('derive the id of an entry from where it stands', () => {
    expect(entryId(ConversationId.parse('c1'), seq(7))).toBe('c1.7');
  });
});
