import { describe, expect, it } from '@jest/globals';
import { DEFAULT_WORKSPACE, type InstanceId, type PresenceBeat, type UserId } from '@parley/contracts';
import { openEventBus } from '@parley/event-bus';
import { openFrameBus } from '@parley/frame-bus';
import { openPresenceStore } from '@parley/presence-store';
import { ManualClock, Metrics, Readiness, silentLogger, Tracing } from '@parley/service-kit';

import { PresenceService } from './presence.service.js';

const TTL_MS = 30_000;
const BEAT_MS = 5_000;
const DEBOUNCE_MS = 250;
const CHAT_1 = 'chat-1' as InstanceId;
const CHAT_2 = 'chat-2' as InstanceId;
const beat = (userId: string, status: PresenceBeat['status'] = 'online'): PresenceBeat => ({
  workspaceId: DEFAULT_WORKSPACE,
  userId: userId as UserId,
  status,
});
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Presence on the in-process adapters; what a server that watches Ann and Bob is told, and what the bus carries. */
async function open() {
  const clock = new ManualClock();
  const startMs = clock.now();
  const bus = await openEventBus({ adapter: 'in-process' });
  const frames = await openFrameBus({ adapter: 'in-process' });
  const store = await openPresenceStore({ adapter: 'in-process', ttlMs: TTL_MS });
  const context = {
    clock,
    random: () => 0.5,
    log: silentLogger,
    metrics: new Metrics(),
    tracing: new Tracing(),
    readiness: new Readiness(),
  };
  const presence = new PresenceService({ store, bus, frames, context });
  const told: string[] = [];
  const records: string[] = [];
  const member = await frames.attach(CHAT_1, (_room, frame) => {
    for (const { data } of frame.frames) {
      const { userId, status, lastSeenAt } = JSON.parse(data) as { userId: string; status: string; lastSeenAt: string };
      told.push(`${userId} ${status} ${Date.parse(lastSeenAt) - startMs}`);
    }
  });
  await member.join('p:ann');
  await member.join('p:bob');
  await bus.subscribe({
    topic: 'presence',
    group: 'spec',
    handle: async (batch) => void records.push(...batch.map(({ value }) => `${value.userId} ${value.status}`)),
  });
  await presence.start();
  /** In steps that the timers see one by one. */
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= DEBOUNCE_MS) {
      clock.advance(Math.min(left, DEBOUNCE_MS));
      await turn();
    }
  };
  return { presence, told, records, advance, clock };
}

describe('presence', () => {
  it('tells of a change after a moment, to those who watch', async () => {
    const { presence, told, records, advance } = await open();
    await presence.beat(CHAT_1, 1, [beat('ann'), beat('stranger')]);
    expect(told).toEqual([]);
    await advance(DEBOUNCE_MS);
    expect(told).toEqual(['ann online 0']);
    expect(records).toEqual(['ann online', 'stranger online']);
    await presence.stop();
  });

  it('says nothing while beats go on', async () => {
    const { presence, told, advance } = await open();
    for (let beats = 0; beats < 5; beats += 1) {
      await presence.beat(CHAT_1, 1, [beat('ann')]);
      await advance(BEAT_MS);
    }
    expect(told).toEqual(['ann online 0']);
  });

  it('holds someone for online until the last beat has run out, then says when they were last seen', async () => {
    const { presence, told, advance } = await open();
    await presence.beat(CHAT_1, 1, [beat('ann')]);
    await advance(TTL_MS - 1_000);
    expect(told).toEqual(['ann online 0']);
    await advance(2_000);
    expect(told).toEqual(['ann online 0', 'ann offline 0']);
    expect(await presence.get(DEFAULT_WORKSPACE, ['ann' as UserId, 'bob' as UserId])).toEqual([
      { userId: 'ann', status: 'offline', lastSeenAt: '2026-01-01T00:00:00.000Z' },
      { userId: 'bob', status: 'offline', lastSeenAt: null },
    ]);
  });

  it('tells nobody of a flicker: gone and back within the time', async () => {
    const { presence, told, advance } = await open();
    await presence.beat(CHAT_1, 1, [beat('ann')]);
    await advance(20_000);
    await presence.beat(CHAT_2, 1, [beat('ann')]);
    await advance(20_000);
    expect(told).toEqual(['ann online 0']);
  });

  it('tells only the last of several changes within a moment', async () => {
    const { presence, told, advance } = await open();
    await presence.beat(CHAT_1, 1, [beat('ann')]);
    await presence.beat(CHAT_1, 1, [beat('ann', 'away')]);
    await advance(DEBOUNCE_MS);
    expect(told).toEqual(['ann away 0']);
  });

  it('is online where any server says so, and away where all say that', async () => {
    const { presence, told, advance } = await open();
    await presence.beat(CHAT_1, 1, [beat('ann')]);
    await presence.beat(CHAT_2, 1, [beat('ann', 'away')]);
    await advance(DEBOUNCE_MS);
    await presence.beat(CHAT_1, 1, [beat('ann', 'away')]);
    await advance(DEBOUNCE_MS);
    expect(told).toEqual(['ann online 0', 'ann away 250']);
  });

  it('tells nothing any more once it was stopped', async () => {
    const { presence, told, advance } = await open();
    await presence.beat(CHAT_1, 1, [beat('ann')]);
    await presence.stop();
    await advance(1_000);
    expect(told).toEqual([]);
  });
});
