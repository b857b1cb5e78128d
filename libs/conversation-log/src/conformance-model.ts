import { expect } from '@jest/globals';
import fc from 'fast-check';

import { type ConversationId, seq, type StoredEntry, targetSeqOf, type UserId } from '@parley/contracts';

import { type ConversationLog, redact } from './conversation-log.js';
import {
  added,
  ANN,
  type Authored,
  BOB,
  CAT,
  edit,
  message,
  pin,
  place,
  positionOf,
  reaction,
  recount,
  remove,
} from './conformance-entries.js';

/** What the log must be: an array, and deletes that reach back into it. */
interface Model {
  entries: StoredEntry[];
}
interface Real {
  readonly log: ConversationLog;
  readonly conversationId: ConversationId;
}
type Command = fc.AsyncCommand<Model, Real>;

function redacted(stored: StoredEntry, deletedAt: string): StoredEntry {
  const entry = redact(stored.entry, deletedAt);
  return { ...stored, entry, json: JSON.stringify(entry) };
}

/** Appends to the model as the port's guarantees say. */
function accept(entries: StoredEntry[], appended: readonly StoredEntry[]): void {
  for (const stored of appended) {
    entries.push(stored);
    const target = targetSeqOf(stored.entry);
    const targeted = target === undefined ? undefined : entries[target - 1]?.entry;
    if (stored.entry.kind === 'delete' && targeted?.kind === 'message' && targeted.deletedAt === undefined) {
      const { sentAt } = stored.entry;
      entries.forEach((each, index) => {
        const isTarget = each.entry.seq === target;
        const isItsEdit = each.entry.kind === 'edit' && each.entry.targetSeq === target;
        if (isTarget || isItsEdit) entries[index] = redacted(each, sentAt);
      });
    }
    if (stored.entry.kind === 'edit' && targeted?.kind === 'message' && targeted.deletedAt !== undefined) {
      entries[entries.length - 1] = redacted(stored, targeted.deletedAt);
    }
  }
}

/** A draft whose target is picked among the entries that are there. */
type Change = (pickTarget: number) => Authored;

class Append implements Command {
  constructor(
    readonly staleBy: number,
    readonly drafts: readonly { readonly change: Change; readonly pick: number }[],
  ) {}
  check(): boolean {
    return true;
  }

  async run(model: Model, { log, conversationId }: Real): Promise<void> {
    const { entries } = model;
    const messages = entries.filter(({ entry }) => entry.kind === 'message').map(({ entry }) => entry.seq);
    const expected = Math.max(0, entries.length - this.staleBy);
    const drafts = this.drafts.slice(0, log.appendLimit(seq(expected))).map(({ change, pick }) => {
      const target = messages[pick % messages.length];
      return target === undefined ? message(ANN, 'the first') : change(target);
    });
    const appending = place(conversationId, positionOf(entries.slice(0, expected)), drafts);
    const outcome = await log.append(conversationId, seq(expected), appending);
    if (expected === entries.length) {
      expect(outcome.kind).toBe('appended');
      accept(entries, appending);
    } else {
      expect(outcome).toMatchObject({ kind: 'conflict', missed: entries.slice(expected) });
    }
    const { seq: at, ordinal, memberSeq } = positionOf(entries);
    expect(outcome.head).toMatchObject({ seq: at, ordinal, memberSeq });
  }
  toString(): string {
    return `append(${this.drafts.length}, stale by ${this.staleBy})`;
  }
}

class Read implements Command {
  constructor(
    readonly from: number,
    readonly size: number,
  ) {}
  check(): boolean {
    return true;
  }

  async run({ entries }: Model, { log, conversationId }: Real): Promise<void> {
    const after = this.from % (entries.length + 2);
    const upTo = after + this.size;
    expect(await log.read(conversationId, { after: seq(after), upTo: seq(upTo), limit: 1_000 })).toEqual(
      entries.slice(after, upTo),
    );
    const messages = entries.filter(({ entry }) => entry.kind === 'message' && entry.seq > after && entry.seq < upTo);
    const range = { after: seq(after), before: seq(upTo), limit: 3 };
    expect(await log.readMessages(conversationId, { ...range, take: 'first' })).toEqual(messages.slice(0, 3));
    expect(await log.readMessages(conversationId, { ...range, take: 'last' })).toEqual(messages.slice(-3));
    expect(await log.readChanges(conversationId, { from: seq(after), to: seq(upTo) })).toEqual(
      entries.filter(({ entry }) => {
        const target = targetSeqOf(entry);
        return target !== undefined && target >= after && target <= upTo;
      }),
    );
  }
  toString(): string {
    return `read(${this.from}, ${this.size})`;
  }
}

class Tallies implements Command {
  constructor(readonly from: number) {}
  check(): boolean {
    return true;
  }

  async run({ entries }: Model, { log, conversationId }: Real): Promise<void> {
    const afterSeq = seq(this.from % (entries.length + 2));
    const requests = PEOPLE.map((userId) => ({ conversationId, userId, afterSeq }));
    expect(await log.tally(requests)).toEqual(PEOPLE.map((userId) => recount(entries, userId, afterSeq)));
  }
  toString(): string {
    return `tally(${this.from})`;
  }
}

const PEOPLE: readonly UserId[] = [ANN, BOB, CAT];
const person = fc.constantFrom(...PEOPLE);
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
const mentions = fc.subarray(['u_ann', 'u_bob', 'channel', '@here'], { maxLength: 3 });
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.tuple(person, text, mentions).map(
      ([by, words, named]) =>
        () =>
          message(by, words, { mentions: named }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(person, text).map(
      ([by, words]) =>
        (at: number) =>
          message(by, words, { parentSeq: seq(at) }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(person, text).map(
      ([by, words]) =>
        (at: number) =>
          edit(by, at, words),
    ),
  },
  { weight: 2, arbitrary: person.map((by) => (at: number) => remove(by, at)) },
  { weight: 1, arbitrary: person.map((by) => (at: number) => reaction(by, at, '👍')) },
  { weight: 1, arbitrary: person.map((by) => (at: number) => pin(by, at)) },
  { weight: 1, arbitrary: person.map((by) => () => added(by, [CAT])) },
);
const drafts = fc.array(fc.record({ change, pick: fc.nat() }), { minLength: 1, maxLength: 30 });
const staleBy = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) });
const commands = fc.commands(
  [
    fc.tuple(staleBy, drafts).map(([stale, some]) => new Append(stale, some)),
    fc.tuple(fc.nat(), fc.nat(20)).map(([from, size]) => new Read(from, size)),
    fc.nat().map((from) => new Tallies(from)),
  ],
  { maxCommands: 40 },
);

/** Runs random histories against the log and the model; every run has a conversation of its own. */
export async function checkAgainstModel(log: ConversationLog, runs: number): Promise<void> {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(commands, async (some) => {
      run += 1;
      const conversationId = `c_model-${run}` as ConversationId;
      await fc.asyncModelRun(() => ({ model: { entries: [] }, real: { log, conversationId } }), some);
    }),
    { numRuns: runs },
  );
}
