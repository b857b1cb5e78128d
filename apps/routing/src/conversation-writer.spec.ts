import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CommandBody,
  type CommandOutcome,
  type ConversationId,
  ParleyError,
  seq,
  type UserId,
} from '@parley/contracts';
import type { ConversationLog } from '@parley/conversation-log';

import {
  acceptedSeq,
  ANN,
  BOB,
  CAT,
  checkDense,
  codeOf,
  commandTo,
  freshId,
  openRouting,
  openStores,
  type RoutingFixture,
  say,
  type Stores,
} from './routing-fixture.js';
import { CLIENT_ID_TTL_MS, RECENT_CLIENT_IDS_MAX } from './state.js';

let stores: Stores;
let given: RoutingFixture;
beforeAll(async () => {
  stores = await openStores();
});
beforeEach(async () => {
  given = await openRouting(stores);
});
afterEach(() => given.close());
afterAll(() => stores.close());

const command = (body: CommandBody, by: UserId = ANN, id: ConversationId = given.id) => commandTo(id, body, by);

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** The same log, with calls of one method counted, held up, or made to fail. */
function watched(log: ConversationLog, append: ConversationLog['append']): ConversationLog {
  const calls = Object.create(log) as ConversationLog;
  for (const name of [
    'head',
    'heads',
    'read',
    'readChanges',
    'findClientIds',
    'seal',
    'unsealed',
    'replySummaries',
  ] as const) {
    Object.defineProperty(calls, name, { value: (log[name] as (...args: unknown[]) => unknown).bind(log) });
  }
  Object.defineProperty(calls, 'append', { value: append });
  return calls;
}

describe('accepting', () => {
  it('appends what waits in one step, dense and in order of arrival', async () => {
    await given.create();
    const batches: number[] = [];
    const log = watched(stores.log, (id, head, entries) => {
      batches.push(entries.length);
      return stores.log.append(id, head, entries);
    });
    const routing = given.routing({ log });
    const outcomes = await Promise.all(
      range(700).map((index) => routing.submit(command(say(`k${index}`), index % 2 ? ANN : BOB))),
    );
    expect(outcomes.map(acceptedSeq)).toEqual(range(700).map((index) => index + 1));
    expect(batches[0]).toBe(1);
    expect(batches.slice(1)).toEqual([500, 199]);
    const entries = await given.entries();
    checkDense(entries);
    expect(entries).toHaveLength(700);
  });

  it('answers only once the entry is durable', async () => {
    await given.create();
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const log = watched(stores.log, async (id, head, entries) => {
      reached.resolve();
      await gate.promise;
      return stores.log.append(id, head, entries);
    });
    let answered = false;
    const sending = given
      .routing({ log })
      .submit(command(say('k')))
      .finally(() => (answered = true));
    await reached.promise;
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    gate.resolve();
    expect(acceptedSeq(await sending)).toBe(1);
    expect(await given.entries()).toHaveLength(1);
  });

  it('does not acknowledge what was not written', async () => {
    await given.create();
    const log = watched(stores.log, async () => {
      throw new ParleyError('unavailable', 'the disk is full');
    });
    const outcomes = await Promise.all(
      range(3).map((index) => given.routing({ log }).submit(command(say(`k${index}`)))),
    );
    expect(outcomes.map(codeOf)).toEqual(['unavailable', 'unavailable', 'unavailable']);
    expect(await given.entries()).toEqual([]);
  });

  it('gives all resends within one batch the first message', async () => {
    await given.create();
    const routing = given.routing();
    const outcomes = await Promise.all(range(20).map(() => routing.submit(command(say('same')))));
    expect(outcomes.map(codeOf)).toEqual(['accepted', ...range(19).map(() => 'duplicate')]);
    expect(new Set(outcomes.map(acceptedSeq))).toEqual(new Set([1]));
    expect(await given.entries()).toHaveLength(1);
  });

  it('refuses the same client id with another body, also within one batch', async () => {
    await given.create();
    const routing = given.routing();
    const outcomes = await Promise.all(['a', 'b', 'a'].map((text) => routing.submit(command(say('k', text)))));
    expect(outcomes.map(codeOf)).toEqual(['accepted', 'idempotency_conflict', 'duplicate']);
  });

  it('fails a command that cannot be decided alone, and not the others of its batch', async () => {
    await given.create();
    const routing = given.routing();
    const custom = (content: object) =>
      ({ kind: 'message', clientId: 'k', content: { type: 'custom', ...content } }) as const;
    await routing.submit(command(custom({ a: 1 })));
    const broken = {
      get a(): number {
        throw new RangeError('Maximum call stack size exceeded');
      },
    };
    // Spreading would read it: the content itself has to be what cannot be compared.
    const unreadable = { ...custom({}), content: Object.assign(broken, { type: 'custom' }) };
    const outcomes = await Promise.all(
      [say('before'), unreadable, say('after')].map((body) => routing.submit(command(body))),
    );
    expect(outcomes.map(codeOf)).toEqual(['accepted', 'internal', 'accepted']);
    checkDense(await given.entries());
  });

  it('decides each command of a batch on what those before it did', async () => {
    await given.create();
    const routing = given.routing();
    const react = { kind: 'reaction', targetSeq: 1, emoji: '👍', op: 'add' } as const;
    const outcomes = await Promise.all(
      [
        command(say('k')),
        command(react, BOB),
        command(react, BOB),
        command({ kind: 'delete', targetSeq: 1 }),
        command(react, ANN),
        command({ kind: 'delete', targetSeq: 1 }),
      ].map((each) => routing.submit(each)),
    );
    expect(outcomes.map(codeOf)).toEqual(['accepted', 'accepted', 'unchanged', 'accepted', 'not_found', 'unchanged']);
    expect(outcomes.slice(1, 4).map(acceptedSeq)).toEqual([2, 2, 3]);
  });

  it('takes nothing from someone who was removed earlier in the same batch', async () => {
    await given.create();
    const routing = given.routing();
    const remove = { kind: 'member', op: 'removed', userIds: [BOB] } as const;
    const outcomes = await Promise.all(
      [command(say('1'), BOB), command(remove), command(say('2'), BOB), command(say('3'))].map((each) =>
        routing.submit(each),
      ),
    );
    expect(outcomes.map(codeOf)).toEqual(['accepted', 'accepted', 'not_found', 'accepted']);
  });

  it('keeps the last owner when two owners leave at once', async () => {
    await given.create({}, { ann: 'owner', bob: 'owner', cat: 'member' });
    const routing = given.routing();
    const outcomes = await Promise.all([ANN, BOB].map((by) => routing.submit(command({ kind: 'leave' }, by))));
    expect(outcomes.map(codeOf)).toEqual(['accepted', 'conflict']);
  });

  it('knows members by the log where the directory lags', async () => {
    await given.create();
    const first = given.routing();
    await first.submit(command({ kind: 'member', op: 'added', userIds: [CAT] }));
    await first.submit(command({ kind: 'member', op: 'removed', userIds: [BOB] }));
    expect(await stores.directory.conversation(given.id)).toMatchObject({ appliedSeq: 1 });
    const second = given.routing();
    expect(codeOf(await second.submit(command(say('from cat'), CAT)))).toBe('accepted');
    expect(codeOf(await second.submit(command(say('from bob'), BOB)))).toBe('not_found');
  });

  it('refuses what is said in a conversation that is not there, or was ended', async () => {
    await given.create();
    const routing = given.routing();
    expect(codeOf(await routing.submit(command(say('k'), ANN, freshId())))).toBe('not_found');
    await routing.submit(command({ kind: 'settings', changes: { deleted: true } }));
    expect(codeOf(await routing.submit(command(say('k'))))).toBe('not_found');
    expect(codeOf(await given.routing().submit(command(say('k'))))).toBe('not_found');
  });
});

describe('two instances on one log', () => {
  it('stay dense, and neither takes a resend of what the other has', async () => {
    await given.create();
    const instances = [given.routing(), given.routing()];
    // Every message is sent to both at once, a dozen rounds, and once more at the end.
    const answers = new Map<string, number[]>();
    const send = async (clientId: string, by: UserId, instance: number): Promise<void> => {
      let outcome: CommandOutcome | undefined;
      do outcome = await instances[instance]?.submit(command(say(clientId), by));
      while (outcome?.kind === 'refused' && outcome.refusal.code === 'unavailable');
      if (outcome === undefined) throw new Error('no such instance');
      answers.set(clientId, [...(answers.get(clientId) ?? []), acceptedSeq(outcome)]);
    };
    for (const round of range(12)) {
      await Promise.all(
        range(16).flatMap((index) => {
          const by = index % 2 ? ANN : BOB;
          return [send(`${round}-${index}`, by, index % 2), send(`${round}-${index}`, by, (index + 1) % 2)];
        }),
      );
    }
    await Promise.all(range(16).map((index) => send(`3-${index}`, index % 2 ? ANN : BOB, index % 2)));
    const entries = await given.entries();
    checkDense(entries);
    expect(entries).toHaveLength(12 * 16);
    for (const [clientId, seqs] of answers) expect([clientId, new Set(seqs).size]).toEqual([clientId, 1]);
  });

  it('answer a resend with the first message, whichever has it', async () => {
    await given.create();
    const [one, two] = [given.routing(), given.routing()];
    // Both hold the conversation in memory; only one of them hears of the message.
    await one.submit(command(say('a')));
    await two.submit(command(say('b')));
    await one.submit(command(say('c')));
    expect(await two.submit(command(say('c')))).toMatchObject({ kind: 'duplicate', entry: { seq: 3 } });
    expect(await one.submit(command(say('b')))).toMatchObject({ kind: 'duplicate', entry: { seq: 2 } });
    expect(await given.entries()).toHaveLength(3);
  });

  it('do not let someone whom the other removed go on', async () => {
    await given.create();
    const [one, two] = [given.routing(), given.routing()];
    expect(codeOf(await two.submit(command(say('a'), BOB)))).toBe('accepted');
    await one.submit(command({ kind: 'member', op: 'removed', userIds: [BOB] }));
    expect(codeOf(await two.submit(command(say('b'), BOB)))).toBe('not_found');
    expect(await given.entries()).toHaveLength(2);
  });
});

describe('an append that fails', () => {
  it('leaves nothing in memory: a resend is appended, not taken for one of what was never written', async () => {
    await given.create();
    let away = true;
    const log = watched(stores.log, (id, head, entries) =>
      away ? Promise.reject(new ParleyError('unavailable', 'the disk is full')) : stores.log.append(id, head, entries),
    );
    const routing = given.routing({ log });
    expect(codeOf(await routing.submit(command(say('k'))))).toBe('unavailable');
    expect(codeOf(await routing.submit(command(say('k'))))).toBe('unavailable');
    away = false;
    expect(await routing.submit(command(say('k')))).toMatchObject({ kind: 'accepted', entry: { seq: 1 } });
    expect(await given.entries()).toHaveLength(1);
  });
});

describe('an append whose answer is lost', () => {
  /** Writes, and then fails as a connection does that breaks before the answer. */
  const losing = (times: number): ConversationLog => {
    let left = times;
    return watched(stores.log, async (id, head, entries) => {
      const outcome = await stores.log.append(id, head, entries);
      left -= 1;
      if (left >= 0) throw new ParleyError('unavailable', 'the connection broke');
      return outcome;
    });
  };

  it('is refused as retryable, and the retry gives the message that is there', async () => {
    await given.create();
    const routing = given.routing({ log: losing(1) });
    expect(codeOf(await routing.submit(command(say('k'))))).toBe('unavailable');
    expect(await routing.submit(command(say('k')))).toMatchObject({ kind: 'duplicate', entry: { seq: 1 } });
    expect(acceptedSeq(await routing.submit(command(say('next'))))).toBe(2);
    checkDense(await given.entries());
  });

  it('does not make the commands after it go wrong', async () => {
    await given.create();
    const routing = given.routing({ log: losing(2) });
    const outcomes = await Promise.all(range(8).map((index) => routing.submit(command(say(`k${index}`)))));
    expect(outcomes.map(codeOf)).toEqual(range(8).map(() => 'unavailable'));
    const again = await Promise.all(range(8).map((index) => routing.submit(command(say(`k${index}`)))));
    expect(again.map(codeOf)).toEqual(range(8).map(() => 'duplicate'));
    checkDense(await given.entries());
  });
});

describe('client ids', () => {
  it('are found in the log when memory no longer has them, for seven days', async () => {
    await given.create();
    const routing = given.routing();
    const count = RECENT_CLIENT_IDS_MAX + 300;
    await Promise.all(range(count).map((index) => routing.submit(command(say(`k${index}`)))));
    expect(await routing.submit(command(say('k0')))).toMatchObject({ kind: 'duplicate', entry: { seq: 1 } });
    given.clock.advance(CLIENT_ID_TTL_MS - 1);
    expect(await routing.submit(command(say('k1')))).toMatchObject({ kind: 'duplicate', entry: { seq: 2 } });
    given.clock.advance(2);
    expect(await routing.submit(command(say('k1')))).toMatchObject({ kind: 'accepted', entry: { seq: count + 1 } });
  });

  it('are found by an instance that loads a log that is sealed to its end', async () => {
    await given.create();
    await given.routing().submit(command(say('k')));
    await stores.log.seal(given.id, seq(1));
    const later = given.routing();
    expect(await later.submit(command(say('k')))).toMatchObject({ kind: 'duplicate', entry: { seq: 1 } });
    expect(codeOf(await later.submit(command(say('k', 'other'))))).toBe('idempotency_conflict');
  });

  it('of a message that was deleted stand for it still', async () => {
    await given.create();
    const routing = given.routing();
    await routing.submit(command(say('k', 'SECRET')));
    await routing.submit(command({ kind: 'delete', targetSeq: 1 }));
    for (const each of [routing, given.routing()]) {
      const outcome = await each.submit(command(say('k', 'SECRET')));
      expect(outcome).toMatchObject({ kind: 'duplicate', entry: { seq: 1, content: null } });
    }
  });
});

describe('bounds', () => {
  it('refuse what is beyond the queue of one conversation, and nothing of another', async () => {
    await given.create();
    const other = await given.create({ id: freshId() });
    const routing = given.routing({}, { PARLEY_CONVERSATION_QUEUE_MAX: '5' });
    const outcomes = await Promise.all([
      ...range(8).map((index) => routing.submit(command(say(`k${index}`)))),
      routing.submit(command(say('other'), ANN, other)),
    ]);
    // The first is being written; five wait.
    expect(outcomes.map(codeOf)).toEqual([...range(6).map(() => 'accepted'), 'overloaded', 'overloaded', 'accepted']);
    expect(outcomes[6]).toMatchObject({ refusal: { retryAfterMs: expect.any(Number) } });
  });

  it('limit what one conversation takes, but not what is a resend or refused anyway', async () => {
    await given.create();
    const routing = given.routing(
      {},
      { PARLEY_RATE_LIMITS: 'on', PARLEY_CONVERSATION_SENDS_PER_SECOND: '1', PARLEY_CONVERSATION_SENDS_BURST: '2' },
    );
    const codes = async (...ids: string[]) => {
      const found: string[] = [];
      for (const id of ids) found.push(codeOf(await routing.submit(command(say(id)))));
      return found;
    };
    expect(codeOf(await routing.submit(command(say('x'), CAT)))).toBe('not_found');
    expect(await codes('a', 'b', 'c', 'a')).toEqual(['accepted', 'accepted', 'rate_limited', 'duplicate']);
    given.clock.advance(1_000);
    expect(await codes('c')).toEqual(['accepted']);
    checkDense(await given.entries());
  });

  it('forget idle conversations, which are read again when they are used', async () => {
    const ids = range(150).map(freshId);
    for (const id of ids) await given.create({ id });
    const routing = given.routing({}, { PARLEY_ROUTING_CONVERSATIONS_MAX: '100' });
    for (const id of [...ids, ...ids]) expect(acceptedSeq(await routing.submit(command(say('k'), ANN, id)))).toBe(1);
  });
});
