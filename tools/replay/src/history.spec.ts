import { describe, expect, it } from '@jest/globals';
import { LogEntry } from '@parley/contracts';

import {
  type ClientHistory,
  checkHistory,
  type ConversationHistory,
  VIOLATIONS,
  type ViolationKind,
} from './history.js';

const AT = '2026-11-22T10:00:00.000Z';
const common = (seq: number, senderId = 'owner') => ({
  conversationId: 'c1',
  seq,
  id: `c1.${seq}`,
  senderId,
  sentAt: AT,
});
const entry = (value: object): LogEntry => LogEntry.parse(value);
const member = (seq: number, op: 'added' | 'removed', userId: string): LogEntry =>
  entry({ ...common(seq), kind: 'member', op, userIds: [userId] });
const message = (seq: number, senderId: string): LogEntry =>
  entry({ ...common(seq, senderId), kind: 'message', clientId: `k${seq}`, content: { type: 'text', text: `t${seq}` } });

/** Ann joins at 1 and stays; Bob joins at 3, is gone at 6. */
const LOG: readonly LogEntry[] = [
  member(1, 'added', 'ann'),
  message(2, 'ann'),
  member(3, 'added', 'bob'),
  message(4, 'ann'),
  message(5, 'bob'),
  member(6, 'removed', 'bob'),
  message(7, 'ann'),
];
const range = (from: number, to: number): readonly LogEntry[] => LOG.filter(({ seq }) => seq >= from && seq <= to);
const live = (entries: readonly LogEntry[], connection = 0) => entries.map((one) => ({ entry: one, connection }));

function client(name: string, from: number, to: number, more: Partial<ClientHistory> = {}): ClientHistory {
  const seen = range(from, to);
  return {
    name,
    userId: name,
    live: live(seen.filter((one) => one.senderId !== name)),
    fetched: [],
    shown: seen.map(({ seq }) => seq),
    sends: seen.flatMap((one) =>
      one.kind === 'message' && one.senderId === name
        ? [
            {
              clientId: `k${one.seq}`,
              seq: one.seq,
              text: `t${one.seq}`,
              startedAtMs: one.seq * 10,
              acknowledgedAtMs: one.seq * 10 + 5,
            },
          ]
        : [],
    ),
    changes: [],
    reread: to === 7 ? seen : null,
    awayWhileLeaving: false,
    strays: [],
    ...more,
  };
}
const history = (clients: readonly ClientHistory[], log = LOG): ConversationHistory => ({
  log,
  ownerId: 'owner',
  clients,
});
const ann = (more: Partial<ClientHistory> = {}): ClientHistory => client('ann', 1, 7, more);
const bob = (more: Partial<ClientHistory> = {}): ClientHistory => client('bob', 3, 6, more);

function expectOnly(found: ConversationHistory, kind: ViolationKind): void {
  const { counts } = checkHistory(found);
  for (const one of VIOLATIONS) expect([one, counts[one] > 0]).toEqual([one, one === kind]);
}

describe('checkHistory', () => {
  it('finds nothing in a faultless history', () => {
    const verdict = checkHistory(history([client('owner', 1, 7, { sends: [] }), ann(), bob()]));
    expect(verdict).toEqual({
      counts: { lost: 0, duplicated: 0, reordered: 0, leaked: 0, altered: 0 },
      violations: [],
      unreachable: 0,
    });
  });

  it('permits to push again what the client has, over the same connection and a new one', () => {
    const again = [...live(range(3, 6)), ...live(range(4, 4)), ...live(range(7, 7), 1), ...live(range(3, 5), 1)];
    const verdict = checkHistory(history([ann({ live: again }), bob()]));
    expect(verdict.violations).toEqual([]);
  });

  it.each<[string, ViolationKind, ConversationHistory]>([
    [
      'a hole in the log',
      'lost',
      history(
        [],
        LOG.filter(({ seq }) => seq !== 4),
      ),
    ],
    ['an entry twice in the log', 'duplicated', history([], [...LOG.slice(0, 2), ...LOG.slice(1)])],
    ['a log out of order', 'reordered', history([], [...range(1, 4), message(2, 'eve'), ...range(5, 7)])],
    [
      'a client id at two positions',
      'duplicated',
      history([], [...LOG, entry({ ...message(2, 'ann'), ...common(8, 'ann') })]),
    ],
    ['an entry that was never shown', 'lost', history([ann({ shown: [1, 2, 3, 4, 6, 7] })])],
    ['an entry shown twice', 'duplicated', history([ann({ shown: [1, 2, 3, 4, 4, 5, 6, 7] })])],
    ['an entry shown late', 'reordered', history([ann({ shown: [1, 2, 4, 3, 5, 6, 7] })])],
    ['an entry shown from after the membership', 'leaked', history([bob({ shown: [3, 4, 5, 6, 7] })])],
    ['an entry shown from before the membership', 'leaked', history([bob({ shown: [2, 3, 4, 5, 6] })])],
    ['a raw event from after the membership', 'leaked', history([bob({ live: live(range(3, 7)) })])],
    [
      'an entry fetched from before the membership',
      'leaked',
      history([bob({ fetched: [{ after: 0, entries: range(2, 4) }] })]),
    ],
    ['a former member who may read', 'leaked', history([bob({ reread: range(3, 6) })])],
    ['an event of a conversation never joined', 'leaked', history([bob({ strays: ['message.new'] })])],
    [
      'raw events out of order',
      'reordered',
      history([ann({ live: live([...range(1, 1), ...range(6, 6), ...range(3, 5)]) })]),
    ],
    [
      'a fetched page out of order',
      'reordered',
      history([ann({ fetched: [{ after: 2, entries: [...range(4, 4), ...range(3, 3)] }] })]),
    ],
    [
      'an entry twice in a page',
      'duplicated',
      history([ann({ fetched: [{ after: 2, entries: [...range(3, 3), ...range(3, 3)] }] })]),
    ],
    ['a member who finds no conversation', 'lost', history([ann({ reread: null })])],
    ['an entry missing when read again', 'lost', history([ann({ reread: range(2, 7) })])],
    ['an acknowledged send that is not in the log', 'lost', history([ann({ sends: [send(9)] })])],
    ['a send acknowledged elsewhere', 'altered', history([ann({ sends: [{ ...send(2), seq: 4 }] })])],
    ['a send with another text', 'altered', history([ann({ sends: [{ ...send(2), text: 'else' }] })])],
    ['a reply that lost its parent', 'altered', history([ann({ sends: [{ ...send(4), parentSeq: 2 }] })])],
    [
      'an acknowledged edit that is not there',
      'lost',
      history([ann({ changes: [{ kind: 'edit', seq: 4, targetSeq: 2 }] })]),
    ],
    [
      'positions against the order of acknowledgements',
      'reordered',
      history([ann({ sends: [late(2, 100), late(7, 0)] })]),
    ],
    [
      'a live event with another content',
      'altered',
      history([ann({ live: live([entry({ ...message(4, 'ann'), content: { type: 'text', text: '?' } })]) })]),
    ],
    [
      'a deleted text that stayed',
      'altered',
      history([], [...LOG, entry({ ...common(8), kind: 'delete', targetSeq: 2 })]),
    ],
    [
      'a text gone without a deletion',
      'altered',
      history([], [...LOG.slice(0, 6), entry({ ...message(7, 'ann'), content: null, deletedAt: AT })]),
    ],
  ])('finds %s', (_what, kind, planted) => expectOnly(planted, kind));

  it('excuses what was missed while leaving without a connection, and only that', () => {
    const away = checkHistory(history([bob({ shown: [3, 4], awayWhileLeaving: true, sends: [] })]));
    expect([away.unreachable, away.counts.lost]).toEqual([2, 0]);
    const hole = checkHistory(history([bob({ shown: [3, 6], awayWhileLeaving: true, sends: [] })]));
    expect([hole.unreachable, hole.counts.lost]).toEqual([0, 2]);
  });

  it('excuses the same where live events may be lost, and nobody who stays', () => {
    const lossy = (who: ClientHistory) => checkHistory({ ...history([who]), lossy: true });
    const left = lossy(bob({ shown: [3, 4], sends: [] }));
    expect([left.unreachable, left.counts.lost]).toEqual([2, 0]);
    expect(checkHistory(history([bob({ shown: [3, 4], sends: [] })])).counts.lost).toBe(2);
    expect(lossy(ann({ shown: [1, 2, 3], sends: [] })).counts.lost).toBeGreaterThan(0);
  });

  it('expects an edit that was made within the membership of a message from before it', () => {
    const edit = entry({ ...common(8, 'ann'), kind: 'edit', targetSeq: 2, content: { type: 'text', text: 'later' } });
    const log = LOG.map((one) => (one.seq === 3 ? member(3, 'added', 'eve') : one.seq === 6 ? message(6, 'ann') : one));
    const whole = [...log, edit];
    const own = whole.filter(({ seq }) => seq >= 3);
    const eve = client('eve', 3, 7, { live: live(own), shown: [3, 4, 5, 6, 7, 8], reread: own });
    expect(checkHistory(history([eve], whole)).violations).toEqual([]);
    expectOnly(history([{ ...eve, shown: [3, 4, 5, 6, 7] }], whole), 'lost');
  });

  it('accepts a live text that was deleted later', () => {
    const deleted = [...LOG, entry({ ...common(8), kind: 'delete', targetSeq: 7 })].map((one) =>
      one.seq === 7 ? entry({ ...one, content: null, deletedAt: AT }) : one,
    );
    const watcher = client('owner', 1, 7, { shown: deleted.map(({ seq }) => seq), reread: deleted, live: live(LOG) });
    expect(checkHistory(history([watcher], deleted)).violations).toEqual([]);
  });
});

function send(seq: number) {
  return { clientId: `k${seq}`, seq, text: `t${seq}`, startedAtMs: seq, acknowledgedAtMs: seq };
}
function late(seq: number, atMs: number) {
  return { ...send(seq), startedAtMs: atMs, acknowledgedAtMs: atMs + 1 };
}
