import { describe, expect, it } from '@jest/globals';

import { DEFAULT_WORKSPACE, type UserId } from '@parley/contracts';

import { eventBusConformance } from './conformance.js';
import type { BusRecord, DeadLetter } from './event-bus.js';
import { InProcessEventBus } from './in-process.js';
import { openEventBus } from './index.js';

const atOnce = async (): Promise<void> => undefined;

eventBusConformance('in-process', async () => {
  const bus = new InProcessEventBus({ pause: atOnce });
  return { bus, close: () => bus.close() };
});

function presence(key: string): BusRecord<'presence'> {
  return {
    key,
    value: { workspaceId: DEFAULT_WORKSPACE, userId: key as UserId, status: 'online', lastSeenAt: null },
  };
}

describe('the in-process event bus', () => {
  it('resolves a publish when every group has handled it, and counts the lag until then', async () => {
    const bus = new InProcessEventBus();
    const finish = Promise.withResolvers<void>();
    await bus.subscribe({ topic: 'presence', group: 'fast', handle: atOnce });
    const started = Promise.withResolvers<void>();
    await bus.subscribe({
      topic: 'presence',
      group: 'slow',
      handle() {
        started.resolve();
        return finish.promise;
      },
    });
    let published = false;
    const publishing = bus.publish('presence', [presence('a'), presence('a')]).then(() => (published = true));
    await started.promise;
    expect(bus.lag().get('presence/slow')).toBe(2);
    expect(published).toBe(false);
    finish.resolve();
    await publishing;
    expect(bus.lag()).toEqual(
      new Map([
        ['presence/fast', 0],
        ['presence/slow', 0],
      ]),
    );
    await bus.close();
  });

  it('resolves at once where nobody subscribes', async () => {
    const bus = new InProcessEventBus();
    await bus.publish('presence', [presence('a')]);
    await bus.close();
  });

  it('refuses what would exceed its bound, wholly and at once', async () => {
    const bus = new InProcessEventBus({ queueMaxRecords: 3 });
    const finish = Promise.withResolvers<void>();
    let handled = 0;
    const handle = async (records: readonly unknown[]): Promise<void> => {
      await finish.promise;
      handled += records.length;
    };
    await bus.subscribe({ topic: 'presence', group: 'g', handle });
    const first = bus.publish('presence', [presence('a'), presence('b')]);
    const tooMuch = bus.publish('presence', [presence('c'), presence('d')]);
    await expect(tooMuch).rejects.toMatchObject({ code: 'overloaded' });
    const fits = bus.publish('presence', [presence('c')]);
    finish.resolve();
    await Promise.all([first, fits]);
    await bus.publish('presence', [presence('d')]);
    expect(handled).toBe(4);
    await bus.close();
  });

  it('pauses longer after each failed attempt, then tries each record alone, then buries', async () => {
    const pauses: number[] = [];
    const buried: DeadLetter[] = [];
    const batches: number[] = [];
    const bus = new InProcessEventBus({
      pause: async (ms) => void pauses.push(ms),
      onDeadLetter: (letter) => buried.push(letter),
      nowMs: () => 42,
    });
    const handle = async (records: readonly BusRecord<'presence'>[]): Promise<void> => {
      batches.push(records.length);
      throw new Error('never');
    };
    await bus.subscribe({ topic: 'presence', group: 'g', handle });
    await bus.publish('presence', [presence('a'), presence('a')]);
    expect(pauses).toEqual([100, 200, 400, 800]);
    expect(batches).toEqual([2, 2, 2, 2, 2, 1, 1]);
    expect(buried).toEqual(await bus.deadLetters('presence'));
    expect(buried).toMatchObject([{ key: 'a', error: 'never', atMs: 42 }, { key: 'a' }]);
    await bus.close();
  });

  it('keeps the latest thousand dead letters', async () => {
    const bus = new InProcessEventBus({ pause: atOnce, attempts: 1 });
    const handle = (): Promise<void> => Promise.reject(new Error('never'));
    await bus.subscribe({ topic: 'presence', group: 'g', handle });
    for (let at = 0; at < 1_010; at += 1) await bus.publish('presence', [presence(`k${at}`)]);
    const letters = await bus.deadLetters('presence');
    expect([letters.length, letters[0]?.key, letters.at(-1)?.key]).toEqual([1_000, 'k10', 'k1009']);
    await bus.close();
  });

  it('rejects what waits for a group that ends, also in a pause, but finishes the batch at hand', async () => {
    const bus = new InProcessEventBus();
    const started = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const subscription = await bus.subscribe({
      topic: 'presence',
      group: 'g',
      maxBatch: 1,
      handle() {
        started.resolve();
        return finish.promise;
      },
    });
    const atHand = bus.publish('presence', [presence('a')]);
    const waiting = bus.publish('presence', [presence('a')]);
    await started.promise;
    const closing = subscription.close();
    finish.resolve();
    await atHand;
    await expect(waiting).rejects.toMatchObject({ code: 'unavailable' });
    await closing;

    const thrown = Promise.withResolvers<void>();
    await bus.subscribe({
      topic: 'presence',
      group: 'g',
      handle() {
        thrown.resolve();
        return Promise.reject(new Error('once'));
      },
    });
    const pausing = bus.publish('presence', [presence('a')]);
    await thrown.promise;
    await Promise.all([bus.close(), expect(pausing).rejects.toMatchObject({ code: 'unavailable' })]);
  });

  it('names the setting when the configuration names an unknown adapter', async () => {
    const config = { adapter: 'carrier-pigeon' } as unknown as Parameters<typeof openEventBus>[0];
    await expect(openEventBus(config)).rejects.toThrow('eventBus.adapter');
  });
});
