import { describe, expect, it } from '@jest/globals';

import { EntryFeed, HELD_MAX } from './entry-feed.js';

describe('EntryFeed', () => {
  it('shows in order and once, whatever the order of arrival', () => {
    const feed = new EntryFeed();
    expect([1, 3, 2, 2, 3, 4].map((seq) => feed.receive(seq))).toEqual([true, true, true, false, false, true]);
    expect(feed.shown).toEqual([1, 2, 3, 4]);
    expect(feed.waiting).toBe(false);
  });

  it('waits at a gap until it is fetched, and goes on from there', () => {
    const feed = new EntryFeed();
    feed.receive(5);
    feed.receive(6);
    expect([feed.shown, feed.cursor, feed.waiting]).toEqual([[], 0, true]);
    feed.fetched([4, 5], 5);
    expect([feed.shown, feed.cursor, feed.waiting]).toEqual([[4, 5, 6], 6, false]);
  });

  it('passes what is not its to see', () => {
    const feed = new EntryFeed();
    feed.fetched([1, 2], 9);
    expect(feed.receive(7)).toBe(false);
    expect(feed.receive(10)).toBe(true);
    expect(feed.shown).toEqual([1, 2, 10]);
  });

  it('holds back no more than its bound', () => {
    const feed = new EntryFeed();
    for (let seq = 2; seq < HELD_MAX + 100; seq += 1) feed.receive(seq);
    feed.receive(1);
    expect(feed.cursor).toBe(HELD_MAX + 1);
    expect(feed.waiting).toBe(false);
  });
});
