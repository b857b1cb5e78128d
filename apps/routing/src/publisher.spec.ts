import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type CommandBody, type ConversationId, ParleyError, type UserId } from '@parley/contracts';
import type { EventBus } from '@parley/event-bus';

import {
  ANN,
  BOB,
  codeOf,
  commandTo,
  openRouting,
  openStores,
  type RoutingFixture,
  say,
  type Stores,
} from './routing-fixture.js';

let stores: Stores;
let given: RoutingFixture;
beforeAll(async () => {
  stores = await openStores();
});
beforeEach(async () => {
  given = await openRouting(stores);
  await given.create();
});
afterEach(() => given.close());
afterAll(() => stores.close());

const command = (body: CommandBody, by: UserId = ANN, id: ConversationId = given.id) => commandTo(id, body, by);

const SETTLE_MS = 2_000;
const sealed = async (): Promise<number> => (await stores.log.head(given.id)).sealedSeq;
const publishedSeqs = (): number[] => given.published.flatMap(({ entries }) => entries.map(({ entry }) => entry.seq));
/** Publishing comes a few turns after the acknowledgement. */
const handedOn = async (): Promise<void> => {
  for (let turns = 0; turns < 5; turns += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** The bus of the fixture, of which single publishes can be refused or held up. */
function unreliable(publish: (attempt: number, pass: () => Promise<void>) => Promise<void>): EventBus {
  let attempts = 0;
  return {
    publish: (topic, records) => publish((attempts += 1), () => given.bus.publish(topic, records)),
    subscribe: (options) => given.bus.subscribe(options),
    deadLetters: (topic) => given.bus.deadLetters(topic),
    lag: () => given.bus.lag(),
    close: () => given.bus.close(),
  };
}
const refuse = async (): Promise<void> => {
  throw new ParleyError('unavailable', 'the bus is away');
};

describe('publishing', () => {
  it('hands entries on in order, as they are stored, with what the next services need to know', async () => {
    const routing = given.routing();
    await routing.submit(command(say('1')));
    await routing.submit(command({ kind: 'member', op: 'removed', userIds: [BOB] }));
    await routing.submit({ ...command(say('3')), context: { requestId: 'r', receivedAtMs: 77 } });
    await routing.stop();
    expect(publishedSeqs()).toEqual([1, 2, 3]);
    const stored = (await stores.log.read(given.id, { after: 0 as never, limit: 10 })).map(({ json }) => json);
    const entries = given.published.flatMap((record) => record.entries);
    expect(entries.map(({ json }) => json)).toEqual(stored);
    expect(entries.map(({ memberSeq, prevMemberSeq }) => [memberSeq, prevMemberSeq])).toEqual([
      [0, 0],
      [2, 0],
      [2, 2],
    ]);
    expect(entries.map(({ receivedAtMs }) => receivedAtMs)).toEqual([0, 0, 77]);
    expect(given.published[0]).toMatchObject({ conversationId: given.id, type: 'group', history: 'joined' });
  });

  it('seals what the bus has taken, lazily', async () => {
    const routing = given.routing();
    await routing.start();
    await Promise.all([1, 2, 3].map((index) => routing.submit(command(say(`${index}`)))));
    await handedOn();
    expect(await sealed()).toBe(0);
    given.clock.advance(SETTLE_MS);
    await routing.stop();
    expect(await sealed()).toBe(3);
    expect(await stores.log.unsealed(10)).toEqual([]);
  });

  it('acknowledges though the bus is away, and seals nothing', async () => {
    const routing = given.routing({ bus: unreliable(refuse) });
    const outcome = await routing.submit(command(say('k')));
    expect(codeOf(outcome)).toBe('accepted');
    await routing.stop();
    expect(await sealed()).toBe(0);
    expect(await stores.log.unsealed(10)).toEqual([given.id]);
  });

  it('publishes again from the log what the bus refused, in order and whole', async () => {
    let away = true;
    const again = Promise.withResolvers<void>();
    const bus = unreliable((attempt, pass) => {
      if (attempt === 2) again.resolve();
      return away ? refuse() : pass();
    });
    const routing = given.routing({ bus });
    await routing.start();
    for (const index of [1, 2, 3]) await routing.submit(command(say(`${index}`)));
    await handedOn();
    given.clock.advance(SETTLE_MS);
    await again.promise;
    await routing.submit(command(say('4')));
    await handedOn();
    expect(publishedSeqs()).toEqual([]);
    away = false;
    await routing.submit(command(say('5')));
    await handedOn();
    expect(publishedSeqs()).toEqual([]);
    given.clock.advance(SETTLE_MS);
    await routing.stop();
    expect(publishedSeqs()).toEqual([1, 2, 3, 4, 5]);
    expect(await sealed()).toBe(5);
  });

  it('gives delivery by a call what the bus does not take, once, without waiting for the bus again', async () => {
    let attempts = 0;
    const routing = given.routing({
      bus: unreliable((attempt) => {
        attempts = attempt;
        return refuse();
      }),
    });
    for (const index of [1, 2, 3]) {
      await routing.submit(command(say(`${index}`)));
      await handedOn();
    }
    const seqs = given.direct.flatMap(({ entries }) => entries.map(({ entry }) => entry.seq));
    expect(seqs).toEqual([1, 2, 3]);
    expect(attempts).toBe(1);
    await routing.stop();
    expect(given.direct).toHaveLength(3);
  });

  it('gives delivery by a call what the bus is slow to take, and nothing twice', async () => {
    const taken = Promise.withResolvers<void>();
    const routing = given.routing({ bus: unreliable(() => taken.promise) });
    await routing.submit(command(say('1')));
    await handedOn();
    expect(given.direct).toEqual([]);
    given.clock.advance(500);
    taken.reject(new ParleyError('unavailable', 'timed out'));
    await handedOn();
    expect(given.direct.flatMap(({ entries }) => entries.map(({ entry }) => entry.seq))).toEqual([1]);
    await routing.stop();
  });

  it('does not seal an entry that the bus lost because it took a later one', async () => {
    const first = Promise.withResolvers<void>();
    const routing = given.routing({
      bus: unreliable((attempt, pass) => (attempt === 1 ? first.promise : pass())),
    });
    await routing.submit(command(say('1')));
    await routing.submit(command(say('2')));
    await handedOn();
    expect(publishedSeqs()).toEqual([2]);
    first.reject(new ParleyError('unavailable', 'timed out'));
    await handedOn();
    await routing.stop();
    expect(publishedSeqs()).toEqual([2, 1, 2]);
    expect(await sealed()).toBe(2);
  });

  it('says of a republished tail what membership it is as of, so that nobody takes it for older', async () => {
    const quiet = given.routing({ bus: unreliable(refuse) });
    await quiet.submit(command(say('1')));
    await quiet.submit(command({ kind: 'member', op: 'removed', userIds: [BOB] }));
    await quiet.submit(command(say('3')));
    await stores.log.seal(given.id, 2 as never);
    await given.routing().start();
    expect(
      given.published.flatMap(({ entries }) => entries.map((e) => [e.entry.seq, e.prevMemberSeq, e.memberSeq])),
    ).toEqual([[3, 2, 2]]);
  });
});

describe('the cache of recent entries', () => {
  it('has what was appended, for readers who cannot ask the log', async () => {
    const routing = given.routing();
    for (const index of [1, 2, 3]) await routing.submit(command(say(`${index}`)));
    await handedOn();
    const recent = await given.cache.recent(given.id, { after: 0 as never, limit: 10 });
    expect([recent?.head.seq, recent?.firstSeq, recent?.entries.map(({ entry }) => entry.seq)]).toEqual([
      3,
      1,
      [1, 2, 3],
    ]);
    await routing.stop();
  });
});

describe('starting', () => {
  it('publishes the tail that an earlier life did not, before anything new', async () => {
    const earlier = given.routing({ bus: unreliable(refuse) });
    for (const index of [1, 2, 3]) await earlier.submit(command(say(`${index}`)));
    const routing = given.routing();
    await routing.start();
    expect(publishedSeqs()).toEqual([1, 2, 3]);
    expect(await sealed()).toBe(3);
    expect(given.published.flatMap(({ entries }) => entries).every(({ receivedAtMs }) => receivedAtMs === 0)).toBe(
      true,
    );
    await routing.submit(command(say('4')));
    await routing.stop();
    expect(publishedSeqs()).toEqual([1, 2, 3, 4]);
  });

  it('publishes what another instance appended and did not, once it is met', async () => {
    const here = given.routing();
    await here.start();
    await here.submit(command(say('1')));
    await given.routing({ bus: unreliable(refuse) }).submit(command(say('2'), BOB));
    await here.submit(command(say('3')));
    given.clock.advance(SETTLE_MS);
    await here.stop();
    expect(publishedSeqs()).toEqual([1, 2, 3]);
    expect(await sealed()).toBe(3);
  });

  it('goes on when the bus is away', async () => {
    await given.routing({ bus: unreliable(refuse) }).submit(command(say('1')));
    const routing = given.routing({ bus: unreliable(refuse) });
    await routing.start();
    expect(codeOf(await routing.submit(command(say('2'))))).toBe('accepted');
    await routing.stop();
  });
});

describe('stopping', () => {
  it('finishes what waits, publishes and seals it, and takes nothing new', async () => {
    const routing = given.routing();
    await routing.start();
    const sending = [1, 2, 3].map((index) => routing.submit(command(say(`${index}`), ANN)));
    await routing.stop();
    const late = routing.submit(command(say('late')));
    await expect(late).rejects.toMatchObject({ code: 'unavailable' });
    expect((await Promise.all(sending)).map(codeOf)).toEqual(['accepted', 'accepted', 'accepted']);
    expect(publishedSeqs()).toEqual([1, 2, 3]);
  });
});
