import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { type ConversationId, DEFAULT_WORKSPACE, ParleyError, seq, type UserId } from '@parley/contracts';

import type { BusRecord, EventBus, SubscribeOptions } from './event-bus.js';

export interface ConformanceSubject {
  readonly bus: EventBus;
  close(): Promise<void>;
}

type Inbox = BusRecord<'inbox'>;

function record(key: string, at: number): Inbox {
  return {
    key,
    value: {
      workspaceId: DEFAULT_WORKSPACE,
      userId: key as UserId,
      conversationId: 'c_1' as ConversationId,
      seq: seq(at),
      senderId: 'u_sender' as UserId,
      reason: 'direct',
      sentAt: '2026-01-01T00:00:00.000Z',
    },
  };
}

/** What a consumer has seen, with a promise for when it has seen enough. */
class Seen {
  readonly records: Inbox[] = [];
  #check: (() => void) | null = null;

  add(records: readonly Inbox[]): void {
    this.records.push(...records);
    this.#check?.();
  }

  of(key: string): number[] {
    return this.records.filter((each) => each.key === key).map((each) => each.value.seq);
  }

  until(enough: (seen: this) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#check = () => {
        if (enough(this)) resolve();
      };
      this.#check();
    });
  }
}

/** What every adapter of the port must do. The subject retries without long pauses. */
export function eventBusConformance(name: string, open: () => Promise<ConformanceSubject>): void {
  describe(`${name} as an event bus`, () => {
    let subject: ConformanceSubject;
    let bus: EventBus;
    // Stores outlive tests: names are not used twice.
    const run = `${process.pid}-${Date.now()}`;
    let names = 0;
    const unique = (what: string): string => `${what}-${run}-${(names += 1)}`;

    beforeEach(async () => {
      subject = await open();
      bus = subject.bus;
    });
    afterEach(() => subject.close());

    const consume = async (
      group: string,
      more: Partial<SubscribeOptions<'inbox'>> = {},
    ): Promise<{ seen: Seen; close: () => Promise<void> }> => {
      const seen = new Seen();
      const handle = async (records: readonly Inbox[]): Promise<void> => seen.add(records);
      const subscription = await bus.subscribe({ topic: 'inbox', group, handle, ...more });
      return { seen, close: () => subscription.close() };
    };

    it('gives every group every record, in order per key', async () => {
      const keys = Array.from({ length: 20 }, () => unique('key'));
      const { seen: one } = await consume(unique('group'));
      const { seen: two } = await consume(unique('group'));
      const publishing: Promise<void>[] = [];
      for (let at = 1; at <= 20; at += 1)
        publishing.push(
          bus.publish(
            'inbox',
            keys.map((key) => record(key, at)),
          ),
        );
      await Promise.all(publishing);
      const complete = (seen: Seen): boolean => keys.every((key) => seen.of(key).length >= 20);
      await Promise.all([one.until(complete), two.until(complete)]);
      const expected = Array.from({ length: 20 }, (_, index) => index + 1);
      for (const seen of [one, two]) {
        for (const key of keys) expect([...new Set(seen.of(key))]).toEqual(expected);
      }
    });

    it('keeps the order of a key while batches are small and handlers slow', async () => {
      const key = unique('key');
      const seen = new Seen();
      let atOnce = 0;
      const handle = async (records: readonly Inbox[]): Promise<void> => {
        if (!records.some((each) => each.key === key)) return;
        atOnce += 1;
        expect(atOnce).toBe(1);
        expect(records.length).toBeLessThanOrEqual(3);
        await new Promise((resolve) => setImmediate(resolve));
        atOnce -= 1;
        seen.add(records);
      };
      await consume(unique('group'), { handle, maxBatch: 3 });
      await Promise.all(Array.from({ length: 30 }, (_, index) => bus.publish('inbox', [record(key, index + 1)])));
      await seen.until(({ records }) => records.length >= 30);
      expect(seen.of(key)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
    });

    it('shares the keys of a group among its members', async () => {
      const group = unique('group');
      const keys = Array.from({ length: 50 }, () => unique('key'));
      const all = new Seen();
      const handle = async (records: readonly Inbox[]): Promise<void> => all.add(records);
      await consume(group, { handle });
      await consume(group, { handle });
      await bus.publish(
        'inbox',
        keys.flatMap((key) => [record(key, 1), record(key, 2)]),
      );
      await all.until((seen) => keys.every((key) => seen.of(key).length >= 2));
      for (const key of keys) expect([...new Set(all.of(key))]).toEqual([1, 2]);
    });

    it('tries again what a handler threw at, and keeps the order', async () => {
      const key = unique('key');
      const seen = new Seen();
      let throws = 2;
      const handle = async (records: readonly Inbox[]): Promise<void> => {
        if (records.some((each) => each.key === key) && (throws -= 1) >= 0) throw new Error('not yet');
        seen.add(records);
      };
      await consume(unique('group'), { handle });
      await bus.publish('inbox', [record(key, 1), record(key, 2)]);
      await bus.publish('inbox', [record(key, 3)]);
      await seen.until(() => seen.of(key).length >= 3);
      expect([...new Set(seen.of(key))]).toEqual([1, 2, 3]);
    });

    it('makes a record that no attempt gets through a dead letter, and goes on with the rest', async () => {
      const key = unique('key');
      const group = unique('group');
      const seen = new Seen();
      const handle = async (records: readonly Inbox[]): Promise<void> => {
        if (records.some((each) => each.key === key && each.value.seq === 2)) throw new Error('poison');
        seen.add(records);
      };
      await consume(group, { handle });
      await bus.publish('inbox', [record(key, 1), record(key, 2), record(key, 3)]);
      await bus.publish('inbox', [record(key, 4)]);
      await seen.until(() => seen.of(key).includes(4));
      expect([...new Set(seen.of(key))]).toEqual([1, 3, 4]);
      const letters = (await bus.deadLetters('inbox')).filter((letter) => letter.group === group);
      expect(letters).toMatchObject([{ topic: 'inbox', key, value: record(key, 2).value, error: 'poison' }]);
    });

    it.each(['unavailable', 'overloaded'] as const)(
      'tries for as long as it takes while what a handler needs is %s, and buries nothing for it',
      async (code) => {
        const key = unique('key');
        const group = unique('group');
        const seen = new Seen();
        let away = 25;
        const handle = async (records: readonly Inbox[]): Promise<void> => {
          const meant = records.some((each) => each.key === key);
          if (meant && (away -= 1) >= 0) throw new ParleyError(code, 'the store is away');
          seen.add(records);
        };
        await consume(group, { handle });
        await bus.publish('inbox', [record(key, 1), record(key, 2)]);
        await bus.publish('inbox', [record(key, 3)]);
        await seen.until(() => seen.of(key).length >= 3);
        expect(away).toBeLessThan(0);
        expect([...new Set(seen.of(key))]).toEqual([1, 2, 3]);
        expect((await bus.deadLetters('inbox')).filter((letter) => letter.group === group)).toEqual([]);
      },
    );

    it('gives up on trying when the subscription closes meanwhile', async () => {
      const key = unique('key');
      const tried = Promise.withResolvers<void>();
      const handle = async (): Promise<void> => {
        tried.resolve();
        throw new ParleyError('unavailable', 'the store is away');
      };
      const { close } = await consume(unique('group'), { handle });
      const publishing = bus.publish('inbox', [record(key, 1)]).catch((error: unknown) => error);
      await tried.promise;
      await close();
      await publishing;
    });

    it('gives each subscription of its own every record from then on, and none from before', async () => {
      const group = unique('group');
      const key = unique('key');
      await bus.publish('inbox', [record(key, 1)]);
      const one = await consume(group, { every: true });
      const two = await consume(group, { every: true });
      await bus.publish('inbox', [record(key, 2)]);
      await Promise.all([one, two].map(({ seen }) => seen.until(() => seen.of(key).length >= 1)));
      await two.close();
      await bus.publish('inbox', [record(key, 3)]);
      const three = await consume(group, { every: true });
      await bus.publish('inbox', [record(key, 4)]);
      await Promise.all([
        one.seen.until(() => one.seen.of(key).includes(4)),
        three.seen.until(() => three.seen.of(key).length >= 1),
      ]);
      expect([one, two, three].map(({ seen }) => seen.of(key))).toEqual([[2, 3, 4], [2], [4]]);
    });

    it('gives a closed subscription nothing more', async () => {
      const key = unique('key');
      const leaving = await consume(unique('group'));
      const staying = await consume(unique('group'));
      await bus.publish('inbox', [record(key, 1)]);
      await leaving.seen.until((seen) => seen.of(key).length === 1);
      await leaving.close();
      await bus.publish('inbox', [record(key, 2)]);
      await staying.seen.until((seen) => seen.of(key).length === 2);
      expect(leaving.seen.of(key)).toEqual([1]);
    });

    it('refuses to publish once closed', async () => {
      await bus.close();
      const refused = bus.publish('inbox', [record(unique('key'), 1)]);
      await expect(refused).rejects.toMatchObject({ code: 'unavailable' });
    });
  });
}
