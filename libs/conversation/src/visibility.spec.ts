import { describe, expect, it } from '@jest/globals';
import { type MembershipInterval, seq } from '@parley/contracts';
import fc from 'fast-check';

import { covers, currentInterval, visibleRanges } from './visibility.js';

const POSITIONS = Array.from({ length: 45 }, (_, at) => at);

/** Membership as it really goes: in, out, in again; the last interval may still be open. */
const membership = fc
  .uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 9 })
  .map((cuts) => cuts.sort((a, b) => a - b))
  .map((cuts) => {
    const intervals: MembershipInterval[] = [];
    for (let at = 0; at < cuts.length; at += 2) {
      const joinedSeq = seq(cuts[at] ?? 0);
      const left = cuts[at + 1];
      intervals.push({ role: 'member', joinedSeq, leftSeq: left === undefined ? null : seq(left) });
    }
    return intervals;
  });
const history = fc.constantFrom('joined' as const, 'all' as const);

/** The rule as design section 4 words it. */
function naivelyVisible(rule: 'joined' | 'all', intervals: readonly MembershipInterval[], at: number): boolean {
  return intervals.some(
    ({ joinedSeq, leftSeq }) => at >= (rule === 'all' ? 1 : joinedSeq) && (leftSeq === null || at <= leftSeq),
  );
}

describe('visibility', () => {
  it('is what the rule says at every position, for any membership', () => {
    fc.assert(
      fc.property(history, membership, (rule, intervals) => {
        const ranges = visibleRanges(rule, intervals);
        for (const at of POSITIONS) expect(covers(ranges, at)).toBe(naivelyVisible(rule, intervals, at));
      }),
    );
  });

  it('comes as ranges in order that neither overlap nor touch, whatever the order of the intervals', () => {
    fc.assert(
      fc.property(history, membership, (rule, intervals) => {
        const ranges = visibleRanges(rule, intervals);
        expect(visibleRanges(rule, intervals.toReversed())).toEqual(ranges);
        ranges.forEach(({ from, to }, index) => {
          expect(from).toBeLessThanOrEqual(to);
          const before = ranges[index - 1];
          if (before !== undefined) expect(from).toBeGreaterThan(before.to + 1);
        });
      }),
    );
  });

  it('includes the entry that added and the one that removed, and nothing beyond either', () => {
    const ranges = visibleRanges('joined', [{ role: 'member', joinedSeq: seq(5), leftSeq: seq(9) }]);
    expect([4, 5, 9, 10].map((at) => covers(ranges, at))).toEqual([false, true, true, false]);
  });

  it('reaches back to the first entry where the history is for all, but not beyond the removal', () => {
    const ranges = visibleRanges('all', [{ role: 'member', joinedSeq: seq(5), leftSeq: seq(9) }]);
    expect([1, 4, 9, 10].map((at) => covers(ranges, at))).toEqual([true, true, true, false]);
  });

  it('shows nothing to someone who never was a member', () => {
    expect(visibleRanges('all', [])).toEqual([]);
  });

  it('knows the interval of a current member', () => {
    const former: MembershipInterval = { role: 'member', joinedSeq: seq(0), leftSeq: seq(3) };
    const current: MembershipInterval = { role: 'admin', joinedSeq: seq(6), leftSeq: null };
    expect(currentInterval([former, current])).toBe(current);
    expect(currentInterval([former])).toBeUndefined();
    expect(currentInterval(undefined)).toBeUndefined();
  });
});
