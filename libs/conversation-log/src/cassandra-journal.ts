import { type ConversationId, ParleyError } from '@parley/contracts';

import type { Heads } from './cassandra-heads.js';
import { numberIn, textIn } from './cassandra-rows.js';
import { TTL_SECONDS } from './cassandra-schema.js';
import type { Statements } from './cassandra-statements.js';

const MINUTE_MS = 60_000;
/** All writers in one partition: a row an instance and epoch. */
const SHARD = 0;
/** Minutes after which no append of a minute is under way any more, whatever the clocks of two machines say. */
const OVER_AFTER_MINUTES = 3;
const TTL_MINUTES = TTL_SECONDS / 60;
/** Conversations with appends that are not sealed; beyond, appends are refused with `overloaded`. */
const UNSEALED_MAX = 200_000;

/** A minute of a writer, as this process knows it. */
interface Minute {
  readonly writer: string;
  readonly minute: number;
  /** Conversations that have a row in the journal, or will have one once the promise resolves. */
  readonly rows: Map<ConversationId, Promise<void>>;
  /** Conversations with appends of this minute under way, or not sealed. */
  readonly open: Set<ConversationId>;
}

interface Unsealed {
  underWay: number;
  /** The last position that may have been appended. */
  upTo: number;
  readonly minutes: Set<Minute>;
}

/** An append under way. */
export interface JournaledAppend {
  /** Resolves when the conversation will be found, should this process die. */
  readonly found: Promise<void>;
  /** The append is over; `upTo` is the last position that may have been written by it, null if certainly none. */
  end(upTo: number | null): void;
}

/**
 * So that conversations which nobody loads are found after their writer died: a row (writer, minute, conversation) is
 * there before the first append of a conversation in a minute is acknowledged, and a minute's rows go when it is over
 * and everything in it is sealed. `writers` says for each writer from which minute to which there may be rows, written
 * forward only (the minute is the write's timestamp); so whoever looks for what a dead writer left reads one row and
 * a few partitions. Rows that nobody removed end after seven days.
 */
export class Journal {
  readonly #statements: Statements;
  readonly #heads: Heads;
  readonly #nowMs: () => number;
  readonly #minutes = new Map<string, Minute>();
  readonly #unsealed = new Map<ConversationId, Unsealed>();

  constructor(statements: Statements, heads: Heads, nowMs: () => number) {
    this.#statements = statements;
    this.#heads = heads;
    this.#nowMs = nowMs;
  }

  begin(writer: string, conversationId: ConversationId): JournaledAppend {
    if (this.#unsealed.size >= UNSEALED_MAX && !this.#unsealed.has(conversationId)) {
      throw new ParleyError('overloaded', 'Too many conversations are not sealed', { retryAfterMs: 1_000 });
    }
    const minute = this.#minute(writer);
    const unsealed = this.#unsealed.get(conversationId) ?? { underWay: 0, upTo: 0, minutes: new Set<Minute>() };
    this.#unsealed.set(conversationId, unsealed);
    unsealed.underWay += 1;
    unsealed.minutes.add(minute);
    minute.open.add(conversationId);
    return {
      found: this.#row(minute, conversationId),
      end: (upTo) => {
        unsealed.underWay -= 1;
        if (upTo !== null) unsealed.upTo = Math.max(unsealed.upTo, upTo);
        else if (unsealed.upTo === 0) this.#settle(conversationId, unsealed, 0);
      },
    };
  }

  /** Everything of a conversation up to here is sealed. Closes the minutes that are done with. */
  async sealed(conversationId: ConversationId, upTo: number): Promise<void> {
    const unsealed = this.#unsealed.get(conversationId);
    if (unsealed !== undefined) this.#settle(conversationId, unsealed, upTo);
    await this.closeMinutes();
  }

  /** Removes the rows of minutes that are over and have nothing open. */
  async closeMinutes(): Promise<void> {
    const now = minuteOf(this.#nowMs());
    for (const [key, minute] of this.#minutes) {
      if (minute.minute >= now || minute.open.size > 0) continue;
      this.#minutes.delete(key);
      await this.#statements.write({
        query: 'DELETE FROM journal WHERE writer = ? AND minute = ?',
        params: [minute.writer, minute.minute],
      });
    }
  }

  /** Conversations that writers who are gone have left unsealed. Rows that are done with are removed on the way. */
  async left(limit: number, gone: (writer: string) => boolean): Promise<readonly ConversationId[]> {
    const left = new Set<ConversationId>();
    const over = minuteOf(this.#nowMs()) - OVER_AFTER_MINUTES;
    const writers = await this.#statements.rows(
      'SELECT writer, open_from_minute, latest_minute FROM writers WHERE shard = ?',
      [SHARD],
    );
    for (const row of writers) {
      const writer = textIn(row, 'writer') ?? '';
      const latest = numberIn(row, 'latest_minute');
      if (latest === undefined) continue;
      if (!gone(writer)) {
        await this.#sweep(writer, over);
        continue;
      }
      const from = Math.max(numberIn(row, 'open_from_minute') ?? 0, latest - TTL_MINUTES);
      let done = latest < over;
      for (let minute = from; minute <= latest; minute += 1) {
        const unsealed = await this.#leftIn(writer, minute, minute < over);
        if (unsealed.length > 0) done = false;
        for (const conversationId of unsealed) {
          left.add(conversationId);
          if (left.size === limit) return [...left];
        }
      }
      if (done) {
        // A row that was written since has a later minute and stays.
        const query = 'DELETE FROM writers USING TIMESTAMP ? WHERE shard = ? AND writer = ?';
        await this.#statements.write({ query, params: [latest, SHARD, writer] });
      }
    }
    return [...left];
  }

  /** Nothing of a conversation is open any more if nothing is under way and all that there may be is sealed. */
  #settle(conversationId: ConversationId, unsealed: Unsealed, sealedUpTo: number): void {
    if (unsealed.underWay > 0 || unsealed.upTo > sealedUpTo) return;
    for (const { open } of unsealed.minutes) open.delete(conversationId);
    this.#unsealed.delete(conversationId);
  }

  /** Of one's own writer: an append whose outcome stayed unknown keeps its minute open until it is looked at here. */
  async #sweep(writer: string, over: number): Promise<void> {
    for (const each of [...this.#minutes.values()]) {
      if (each.writer === writer && each.minute < over) await this.#leftIn(writer, each.minute, true);
    }
  }

  async #leftIn(writer: string, minute: number, over: boolean): Promise<ConversationId[]> {
    const rows = await this.#statements.rows('SELECT conversation_id FROM journal WHERE writer = ? AND minute = ?', [
      writer,
      minute,
    ]);
    const ids = rows.map((row) => textIn(row, 'conversation_id') as ConversationId);
    const heads = await this.#heads.readMany(ids);
    const left = ids.filter((id) => {
      const head = heads.get(id);
      return head !== undefined && head.sealedSeq < head.seq;
    });
    // One deletion for the whole minute: single ones would leave a tombstone for each conversation.
    if (over && ids.length > 0 && left.length === 0) {
      this.#forget(keyOf(writer, minute));
      const query = 'DELETE FROM journal WHERE writer = ? AND minute = ?';
      await this.#statements.write({ query, params: [writer, minute] });
    }
    return left;
  }

  #forget(key: string): void {
    const minute = this.#minutes.get(key);
    if (minute === undefined) return;
    this.#minutes.delete(key);
    for (const conversationId of minute.open) {
      const unsealed = this.#unsealed.get(conversationId);
      unsealed?.minutes.delete(minute);
      if (unsealed?.minutes.size === 0) this.#unsealed.delete(conversationId);
    }
  }

  #minute(writer: string): Minute {
    const minute = minuteOf(this.#nowMs());
    const key = keyOf(writer, minute);
    const known = this.#minutes.get(key);
    if (known !== undefined) return known;
    const made: Minute = { writer, minute, rows: new Map(), open: new Set() };
    this.#minutes.set(key, made);
    return made;
  }

  #row(minute: Minute, conversationId: ConversationId): Promise<void> {
    const known = minute.rows.get(conversationId);
    if (known !== undefined) return known;
    const first = minute.rows.size === 0;
    const written = Promise.all([
      this.#statements.write({
        query: 'INSERT INTO journal (writer, minute, conversation_id) VALUES (?, ?, ?)',
        params: [minute.writer, minute.minute, conversationId],
      }),
      first ? this.#announce(minute) : [...minute.rows.values()][0],
    ]).then(() => undefined);
    minute.rows.set(conversationId, written);
    // One that failed is tried again by the next append; whoever waits for it hears of the failure.
    written.catch(() => minute.rows.delete(conversationId));
    return written;
  }

  #announce({ writer, minute }: Minute): Promise<void> {
    let openFrom = minute;
    for (const each of this.#minutes.values()) {
      if (each.writer === writer) openFrom = Math.min(openFrom, each.minute);
    }
    return this.#statements.write({
      query:
        'INSERT INTO writers (shard, writer, open_from_minute, latest_minute) VALUES (?, ?, ?, ?) USING TIMESTAMP ?',
      params: [SHARD, writer, openFrom, minute, minute],
    });
  }
}

function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE_MS);
}

function keyOf(writer: string, minute: number): string {
  return `${minute} ${writer}`;
}
