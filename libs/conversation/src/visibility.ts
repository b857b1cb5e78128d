import {
  type ConversationFacts,
  type LogEntry,
  type MembershipInterval,
  type Seq,
  seq,
  targetSeqOf,
} from '@parley/contracts';

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

/**
 * Whether an entry is visible. An entry that changes a message shows something of it, so it is visible only to those
 * who may see that message too: otherwise an edit would tell a new member what was said before they came.
 */
export function canSee(ranges: readonly SeqRange[], entry: LogEntry): boolean {
  const target = targetSeqOf(entry);
  return covers(ranges, entry.seq) && (target === undefined || covers(ranges, target));
}

/** The interval of a current member; undefined for former members and strangers. */
export function currentInterval(intervals: readonly MembershipInterval[] | undefined): MembershipInterval | undefined {
  return intervals?.find(({ leftSeq }) => leftSeq === null);
}

/** Membership as of a position: what delivery asks for an entry's own seq. */
export function memberAt(intervals: readonly MembershipInterval[], at: number): boolean {
  return intervals.some(({ joinedSeq, leftSeq }) => joinedSeq <= at && (leftSeq === null || at <= leftSeq));
}
