import { type ConversationFacts, type MembershipInterval, type Seq, seq } from '@parley/contracts';

type History = ConversationFacts['history'];

/** Positions that a membership covers: `from ≤ n ≤ to`. */
export interface SeqRange {
  readonly from: Seq;
  readonly to: Seq;
}

/** Everything after any position that exists. */
const END = seq(Number.MAX_SAFE_INTEGER);

/**
 * The one rule of what a person may see, everywhere: up to the entry that removed them, and from the entry that added
 * them where the conversation's history starts on joining. In order, without overlap.
 *
 * An entry that changes an earlier message is judged by its own position, as every other: an edit is something that was
 * said now, in front of everyone who is here now. The message that it changes stays hidden.
 */
export function visibleRanges(history: History, intervals: readonly MembershipInterval[]): readonly SeqRange[] {
  const ranges = intervals
    .map(({ joinedSeq, leftSeq }) => ({ from: history === 'all' ? seq(1) : joinedSeq, to: leftSeq ?? END }))
    .sort((a, b) => a.from - b.from);
  const merged: SeqRange[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (last !== undefined && range.from <= last.to + 1) {
      merged[merged.length - 1] = { from: last.from, to: seq(Math.max(last.to, range.to)) };
    } else {
      merged.push(range);
    }
  }
  return merged;
}

export function covers(ranges: readonly SeqRange[], at: number): boolean {
  return ranges.some(({ from, to }) => from <= at && at <= to);
}

/** The interval of a current member; undefined for former members and strangers. */
export function currentInterval(intervals: readonly MembershipInterval[] | undefined): MembershipInterval | undefined {
  return intervals?.find(({ leftSeq }) => leftSeq === null);
}
