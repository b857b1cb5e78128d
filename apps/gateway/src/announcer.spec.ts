import { describe, expect, it } from '@jest/globals';
import { DEFAULT_WORKSPACE, type DirectoryRecord, ParleyError, type UserId } from '@parley/contracts';
import type { EventBus } from '@parley/event-bus';
import { ManualClock, silentLogger } from '@parley/service-kit';

import { Announcer } from './announcer.js';

const ended = (userId: string): DirectoryRecord => ({
  kind: 'session.ended',
  workspaceId: DEFAULT_WORKSPACE,
  userId: userId as UserId,
  familyId: null,
  code: 'unauthenticated',
});

function given() {
  const published: string[] = [];
  const clock = new ManualClock();
  const state = { away: false };
  const bus = {
    async publish(_topic: string, records: readonly { key: string }[]) {
      if (state.away) throw new ParleyError('unavailable', 'the bus is away');
      published.push(...records.map(({ key }) => key));
    },
  } as unknown as EventBus;
  return { published, clock, state, announcer: new Announcer(bus, { clock, log: silentLogger }) };
}

describe('an announcement', () => {
  it('is published at once', async () => {
    const { published, announcer } = given();
    await announcer.announce(ended('ann'));
    expect(published).toEqual(['ann']);
  });

  it('waits while the bus is away, refuses nobody, and follows in order', async () => {
    const { published, announcer, state, clock } = given();
    state.away = true;
    await announcer.announce(ended('ann'));
    await announcer.announce(ended('bob'));
    clock.advance(1_000);
    expect([published, announcer.waiting]).toEqual([[], 2]);
    state.away = false;
    await announcer.announce(ended('cat'));
    expect(published).toEqual([]);
    await announcer.flush();
    expect([published, announcer.waiting]).toEqual([['ann', 'bob', 'cat'], 0]);
  });

  it('is dropped, the oldest first, when too many wait', async () => {
    const { published, announcer, state } = given();
    state.away = true;
    for (let at = 0; at < 10_001; at += 1) await announcer.announce(ended(String(at)));
    state.away = false;
    await announcer.close();
    expect([published.length, published[0]]).toEqual([10_000, '1']);
  });
});
