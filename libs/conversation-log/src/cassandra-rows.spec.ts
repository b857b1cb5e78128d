import { describe, expect, it } from '@jest/globals';
import { types } from 'cassandra-driver';

import { type ConversationId, seq } from '@parley/contracts';

import {
  bucketOf,
  ENTRY_COLUMNS,
  entryParams,
  headAfter,
  lastOfBucket,
  numberIn,
  textIn,
  textsIn,
  toHead,
  toRow,
  toStored,
} from './cassandra-rows.js';
import {
  added,
  ANN,
  BOB,
  CAT,
  edit,
  message,
  place,
  reaction,
  remove,
  sentAtMs,
  START,
} from './conformance-entries.js';
import { EMPTY_HEAD } from './conversation-log.js';

const ID = 'c_1' as ConversationId;

/** A row as the driver hands it over. */
function rowOf(columns: Record<string, unknown>): types.Row {
  return {
    get: (column: string | number) => columns[column],
    keys: () => Object.keys(columns),
    values: () => Object.values(columns),
    forEach: () => undefined,
  };
}

describe('partitions of a log', () => {
  it('hold as many entries as they are said to, from the first to the last', () => {
    expect([1, 6, 7, 8, 14, 15].map((at) => bucketOf(at, 7))).toEqual([0, 0, 0, 1, 1, 2]);
    expect([0, 1, 2].map((bucket) => lastOfBucket(bucket, 7))).toEqual([7, 14, 21]);
    for (let at = 1; at < 1_000; at += 1) {
      const bucket = bucketOf(at, 13);
      expect(at).toBeLessThanOrEqual(lastOfBucket(bucket, 13));
      expect(at).toBeGreaterThan(lastOfBucket(bucket - 1, 13));
    }
  });
});

describe('rows of a log', () => {
  it('have every entry in the columns that others are asked by, and give it back as it was', () => {
    const entries = place(ID, START, [
      message(ANN, 'é😀', { clientId: 'k', parentSeq: seq(9), mentions: ['u_bob', 'here'] }),
      added(ANN, [CAT]),
      edit(ANN, 1, 'two'),
      reaction(BOB, 1, '👍'),
    ]);
    const rows = entries.map(toRow);
    expect(rows).toMatchObject([
      { kind: 'message', clientId: 'k', parentSeq: 9, targetSeq: undefined, mentions: ['u_bob', 'here'], ordinal: 1 },
      { kind: 'member', memberSeq: 2, mentions: [], ordinal: 1 },
      { kind: 'edit', targetSeq: 1 },
      { kind: 'reaction', targetSeq: 1, senderId: BOB, atMs: sentAtMs(4) },
    ]);
    rows.forEach((row, index) => {
      const params = entryParams(ID, 0, row, undefined);
      const columns = Object.fromEntries(ENTRY_COLUMNS.map((column, at) => [column, params[at]]));
      expect(toStored(rowOf(columns))).toEqual(entries[index]);
      expect(params).not.toContain(null);
    });
  });

  it('are read whatever the driver makes of their types, and refused if they hold something else', () => {
    const row = rowOf({
      long: types.Long.fromNumber(Number.MAX_SAFE_INTEGER),
      int: 3,
      none: null,
      text: 'x',
      list: ['y'],
    });
    expect([numberIn(row, 'long'), numberIn(row, 'int'), numberIn(row, 'none')]).toEqual([
      Number.MAX_SAFE_INTEGER,
      3,
      undefined,
    ]);
    expect([textIn(row, 'text'), textIn(row, 'none'), textsIn(row, 'list'), textsIn(row, 'none')]).toEqual([
      'x',
      undefined,
      ['y'],
      [],
    ]);
    expect(() => numberIn(row, 'text')).toThrow(TypeError);
    expect(() => textIn(row, 'int')).toThrow(TypeError);
  });

  it('say where the head is, or that there is none', () => {
    const columns = { head_seq: 4, head_ordinal: 2, head_member_seq: 1, head_message_seq: 3, head_at_ms: 99 };
    const head = { seq: 4, ordinal: 2, memberSeq: 1, lastMessageSeq: 3, lastAtMs: 99, sealedSeq: 0 };
    expect(toHead(rowOf(columns))).toEqual(head);
    expect(toHead(rowOf({ head_seq: null }))).toBeUndefined();
  });

  it('move the head, whose last message stays where they have none', () => {
    const rows = place(ID, START, [message(ANN, '1'), message(ANN, '2'), remove(ANN, 1)]).map(toRow);
    const head = headAfter(EMPTY_HEAD, rows);
    expect(head).toEqual({ seq: 3, ordinal: 2, memberSeq: 0, lastMessageSeq: 2, lastAtMs: sentAtMs(3), sealedSeq: 0 });
    const more = place(ID, { seq: 3, ordinal: 2, memberSeq: 0 }, [added(ANN, [CAT])]).map(toRow);
    expect(headAfter({ ...head, sealedSeq: seq(2) }, more)).toMatchObject({
      memberSeq: 4,
      lastMessageSeq: 2,
      sealedSeq: 2,
    });
  });
});
