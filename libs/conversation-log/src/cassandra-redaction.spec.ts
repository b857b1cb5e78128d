import { describe, expect, it } from '@jest/globals';

import { type ConversationId, type LogEntry } from '@parley/contracts';

import { planRedactions, redactionTargets, type TargetFacts, withoutDeleted } from './cassandra-redaction.js';
import { toRow } from './cassandra-rows.js';
import { ANN, type Authored, edit, message, place, pin, remove, sentAtMs, START } from './conformance-entries.js';
import { redact } from './conversation-log.js';

const ID = 'c_1' as ConversationId;
const at = (position: number): string => new Date(sentAtMs(position)).toISOString();
const HEAD = 10;
const rowsAfterHead = (...drafts: Authored[]) => place(ID, { ...START, seq: HEAD }, drafts).map(toRow);

function inLog(...drafts: Authored[]): LogEntry[] {
  return place(ID, START, drafts).map(({ entry }) => entry);
}

function facts(message: LogEntry | undefined, edits: readonly LogEntry[], deletedAt?: string): TargetFacts {
  return { message, edits, deletedAt };
}

describe('what an append does to content', () => {
  it('asks for the targets of deletes and edits that are in the log already', () => {
    const rows = rowsAfterHead(remove(ANN, 3), edit(ANN, 4, 'x'), pin(ANN, 5), message(ANN, 'y'), edit(ANN, 14, 'z'));
    expect(redactionTargets(rows, HEAD)).toEqual([3, 4]);
  });

  it('takes it from a message of the log, from its edits, and from those appended before the delete', () => {
    const [first, edited] = inLog(message(ANN, 'SECRET', { mentions: ['u_bob'] }), edit(ANN, 1, 'SECRET'));
    const rows = rowsAfterHead(edit(ANN, 1, 'SECRET'), remove(ANN, 1), edit(ANN, 1, 'SECRET'));
    const plan = planRedactions(rows, HEAD, new Map([[1, facts(first, edited === undefined ? [] : [edited])]]));
    expect(plan.redactions.map(({ seq: position }) => position)).toEqual([1, 2]);
    expect(plan.redactions[0]?.json).toBe(first === undefined ? '' : JSON.stringify(redact(first, at(12))));
    expect(JSON.stringify(plan)).not.toContain('SECRET');
    expect(plan.rows.map(({ deletedAt }) => deletedAt)).toEqual([at(12), undefined, at(12)]);
  });

  it('takes it from messages of the same append, without touching the log', () => {
    const rows = rowsAfterHead(message(ANN, 'SECRET', { mentions: ['here'] }), message(ANN, 'kept'), remove(ANN, 11));
    const plan = planRedactions(rows, HEAD, new Map());
    expect(plan.redactions).toEqual([]);
    expect(plan.rows[0]).toMatchObject({ deletedAt: at(13), mentions: [] });
    expect(plan.rows[0]?.json).not.toContain('SECRET');
    expect(plan.rows[1]).toEqual(rows[1]);
  });

  it('keeps the time of a delete that the log has, and finishes what that one left', () => {
    const [first, edited] = inLog(message(ANN, 'SECRET'), edit(ANN, 1, 'SECRET'));
    const gone = first === undefined ? undefined : redact(first, at(5));
    const known = facts(gone, edited === undefined ? [] : [edited], at(5));
    const plan = planRedactions(rowsAfterHead(remove(ANN, 1), edit(ANN, 1, 'SECRET')), HEAD, new Map([[1, known]]));
    expect(plan.redactions).toMatchObject([{ seq: 2, deletedAt: at(5) }]);
    expect(plan.rows[1]?.deletedAt).toBe(at(5));
  });

  it('leaves alone what is no message, or not there', () => {
    const rows = rowsAfterHead(remove(ANN, 2), edit(ANN, 3, 'kept'), remove(ANN, 99), remove(ANN, 11));
    const plan = planRedactions(rows, HEAD, new Map([[2, facts(undefined, [])]]));
    expect(plan).toEqual({ rows, redactions: [] });
  });
});

describe('entries read together', () => {
  it('do not show what a delete among them took away', () => {
    const stored = place(ID, START, [
      message(ANN, 'SECRET'),
      edit(ANN, 1, 'SECRET'),
      message(ANN, 'kept'),
      remove(ANN, 1),
    ]);
    const seen = withoutDeleted(stored);
    expect(seen.slice(0, 2)).toMatchObject([
      { entry: { content: null, deletedAt: at(4) } },
      { entry: { content: null, deletedAt: at(4) } },
    ]);
    expect(seen.map(({ entry, json }) => json === JSON.stringify(entry))).toEqual([true, true, true, true]);
    expect(seen.slice(2)).toEqual(stored.slice(2));
    expect(withoutDeleted(stored.slice(0, 3))).toEqual(stored.slice(0, 3));
  });
});
