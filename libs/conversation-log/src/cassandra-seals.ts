import { type ConversationId, type Seq, seq } from '@parley/contracts';

import { READ_MAX_ENTRIES } from './conversation-log.js';
import type { Appends } from './cassandra-appends.js';
import type { ClientIds, Sent } from './cassandra-client-ids.js';
import type { Entries } from './cassandra-entries.js';
import type { Heads } from './cassandra-heads.js';
import type { Journal } from './cassandra-journal.js';
import type { EntryRow } from './cassandra-rows.js';
import type { Statements } from './cassandra-statements.js';

/** Client ids of entries that are not sealed, over all conversations; beyond, the oldest are read from the log. */
const SENT_MAX = 200_000;
/** Client ids recorded at once. */
const RECORD_MAX = 500;

const SET_SEALED = 'INSERT INTO conversations (conversation_id, sealed_seq) VALUES (?, ?) USING TIMESTAMP ?';

/** The end of a log, appended here and complete: nothing is missing between `from` and `to`. */
interface Tail {
  readonly from: number;
  to: number;
  sent: Sent[];
}

export interface SealPorts {
  readonly statements: Statements;
  readonly heads: Heads;
  readonly entries: Entries;
  readonly appends: Appends;
  readonly clientIds: ClientIds;
  readonly journal: Journal;
}

/**
 * Sealing: what an append left to be done later. The client ids of the entries go into their table, and what deletes
 * and edits demand is made sure of, before the sealed position moves past them. Entries that were appended here have
 * their redactions behind them and their client ids in memory; others are read from the log.
 */
export class Seals {
  readonly #ports: SealPorts;
  readonly #tails = new Map<ConversationId, Tail>();
  #sent = 0;

  constructor(ports: SealPorts) {
    this.#ports = ports;
  }

  /** Remembers what sealing will need. */
  appended(conversationId: ConversationId, expectedHead: Seq, rows: readonly EntryRow[]): void {
    const sent = rows.flatMap(({ seq: at, senderId, clientId }): Sent[] =>
      clientId === undefined ? [] : [{ seq: at, senderId: senderId as Sent['senderId'], clientId }],
    );
    const to = expectedHead + rows.length;
    const known = this.#tails.get(conversationId);
    if (known?.to === expectedHead) {
      known.to = to;
      known.sent.push(...sent);
    } else {
      this.#forget(conversationId);
      this.#tails.set(conversationId, { from: expectedHead, to, sent });
    }
    this.#sent += sent.length;
    for (const oldest of this.#tails.keys()) {
      if (this.#sent <= SENT_MAX) break;
      this.#forget(oldest);
    }
  }

  async seal(conversationId: ConversationId, wanted: Seq): Promise<void> {
    const { heads, journal, statements } = this.#ports;
    const known = heads.known(conversationId);
    const head = known !== undefined && known.seq >= wanted ? known : await heads.read(conversationId);
    const upTo = seq(Math.min(wanted, head.seq));
    if (upTo > head.sealedSeq) {
      await this.#prepare(conversationId, head.sealedSeq, upTo, known === head);
      await statements.write({ query: SET_SEALED, params: [conversationId, upTo, upTo] });
      heads.learn(conversationId, { ...head, sealedSeq: upTo });
    }
    this.#drop(conversationId, upTo);
    await journal.sealed(conversationId, Math.max(upTo, head.sealedSeq));
  }

  /** Does what must be done before the sealed position moves from `sealed`, which memory may have behind, to `upTo`. */
  async #prepare(conversationId: ConversationId, sealed: Seq, upTo: Seq, fromMemory: boolean): Promise<void> {
    const { heads, clientIds } = this.#ports;
    const known = this.#tails.get(conversationId);
    const tail = known !== undefined && known.to >= upTo ? known : undefined;
    const readTo = Math.min(upTo, tail?.from ?? upTo);
    if (readTo > sealed) {
      const after = fromMemory ? (await heads.read(conversationId)).sealedSeq : sealed;
      await this.#sealFromLog(conversationId, after, readTo);
    }
    const sent = (tail?.sent ?? []).filter(({ seq: at }) => at > sealed && at <= upTo);
    for (let from = 0; from < sent.length; from += RECORD_MAX) {
      await clientIds.record(conversationId, sent.slice(from, from + RECORD_MAX));
    }
  }

  async #sealFromLog(conversationId: ConversationId, after: number, upTo: number): Promise<void> {
    const { entries, appends, clientIds } = this.#ports;
    for (let at = after; at < upTo;) {
      const page = await entries.range(conversationId, at, upTo, READ_MAX_ENTRIES);
      const last = page.at(-1);
      if (last === undefined) break;
      await appends.repair(conversationId, page);
      const sent = page.flatMap(({ entry }): Sent[] =>
        entry.kind === 'message' && entry.clientId !== undefined
          ? [{ seq: entry.seq, senderId: entry.senderId, clientId: entry.clientId }]
          : [],
      );
      await clientIds.record(conversationId, sent);
      at = last.entry.seq;
    }
  }

  #drop(conversationId: ConversationId, upTo: number): void {
    const tail = this.#tails.get(conversationId);
    if (tail === undefined) return;
    if (tail.to <= upTo) {
      this.#forget(conversationId);
      return;
    }
    const kept = tail.sent.filter(({ seq: at }) => at > upTo);
    this.#sent -= tail.sent.length - kept.length;
    tail.sent = kept;
  }

  #forget(conversationId: ConversationId): void {
    this.#sent -= this.#tails.get(conversationId)?.sent.length ?? 0;
    this.#tails.delete(conversationId);
  }
}
