import { types } from 'cassandra-driver';

import type { ConversationId, StoredEntry } from '@parley/contracts';

import { type ClientKey, clientKey, READ_MAX_ENTRIES } from './conversation-log.js';
import type { Entries } from './cassandra-entries.js';
import type { Heads } from './cassandra-heads.js';
import { numberIn, seqIn, STORED_COLUMNS, textIn, toStored } from './cassandra-rows.js';
import type { Statement, Statements } from './cassandra-statements.js';
import { inParallel } from './gate.js';

/**
 * Partitions that a conversation's client ids are spread over: enough that one which has ten messages a second for the
 * seven days that they are kept has some 400,000 rows in each, few enough that those of a batch share statements.
 */
export const CLIENT_ID_SHARDS = 16;
const SHARDS_IN_FLIGHT = 16;

/** The later of two messages under one id wins, whoever writes last: `seq` is the write's timestamp. */
const INSERT = `INSERT INTO client_ids (conversation_id, shard, sender_id, client_id, seq)
                VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?`;

/** A message that was sent under a client id. */
export interface Sent extends ClientKey {
  readonly seq: number;
}

/** The durable table of client ids, written when a log is sealed; before that they are found in the log's tail. */
export class ClientIds {
  readonly #statements: Statements;
  readonly #entries: Entries;
  readonly #heads: Heads;

  constructor(statements: Statements, entries: Entries, heads: Heads) {
    this.#statements = statements;
    this.#entries = entries;
    this.#heads = heads;
  }

  async record(conversationId: ConversationId, sent: readonly Sent[]): Promise<void> {
    const shards = groupByShard(sent);
    await inParallel([...shards], SHARDS_IN_FLIGHT, ([shard, some]) =>
      this.#statements.writeAll(
        some.map(({ senderId, clientId, seq }): Statement => ({
          query: INSERT,
          params: [conversationId, shard, senderId, clientId, seq, seq],
        })),
      ),
    );
  }

  /** See `ConversationLog.findClientIds`. */
  async find(
    conversationId: ConversationId,
    keys: readonly ClientKey[],
    sinceMs: number,
    knownFrom: number,
  ): Promise<ReadonlyMap<string, StoredEntry>> {
    if (keys.length === 0) return new Map();
    const wanted = new Map(keys.map((key) => [clientKey(key), key]));
    // The sealed position first, the table after it: what is sealed in between is then found in both, not in neither.
    const known = this.#heads.known(conversationId);
    const head = known !== undefined && knownFrom <= known.sealedSeq ? known : await this.#heads.read(conversationId);
    const [recorded, unsealed] = await Promise.all([
      this.#recorded(conversationId, [...wanted.values()]),
      this.sentIn(conversationId, head.sealedSeq, Math.min(head.seq, knownFrom)),
    ]);
    const latest = new Map<string, number>();
    for (const sent of [...recorded, ...unsealed]) {
      const key = clientKey(sent);
      if (wanted.has(key)) latest.set(key, Math.max(sent.seq, latest.get(key) ?? 0));
    }
    const rows = await this.#entries.at(conversationId, [...latest.values()], `${STORED_COLUMNS}, at_ms`);
    const found = new Map<string, StoredEntry>();
    for (const row of rows) {
      const stored = toStored(row);
      if (stored.entry.kind !== 'message' || stored.entry.clientId === undefined) continue;
      if ((numberIn(row, 'at_ms') ?? 0) < sinceMs) continue;
      found.set(clientKey({ senderId: stored.entry.senderId, clientId: stored.entry.clientId }), stored);
    }
    return found;
  }

  /** From the log itself. */
  async sentIn(conversationId: ConversationId, after: number, upTo: number): Promise<Sent[]> {
    const sent: Sent[] = [];
    for (let at = after; at < upTo;) {
      const rows = await this.#entries.rows(conversationId, at, upTo, READ_MAX_ENTRIES, 'seq, sender_id, client_id');
      const last = rows.at(-1);
      if (last === undefined) break;
      sent.push(...rows.flatMap(toSent));
      at = seqIn(last, 'seq');
    }
    return sent;
  }

  async #recorded(conversationId: ConversationId, keys: readonly ClientKey[]): Promise<Sent[]> {
    const query = `SELECT sender_id, client_id, seq FROM client_ids
                   WHERE conversation_id = ? AND shard = ? AND (sender_id, client_id) IN ?`;
    const answers = await inParallel([...groupByShard(keys)], SHARDS_IN_FLIGHT, ([shard, some]) => {
      const pairs = some.map(({ senderId, clientId }) => new types.Tuple(senderId, clientId));
      return this.#statements.rows(query, [conversationId, shard, pairs]);
    });
    return answers.flat().flatMap(toSent);
  }
}

function toSent(row: types.Row): Sent[] {
  const clientId = textIn(row, 'client_id');
  if (clientId === undefined) return [];
  return [{ senderId: textIn(row, 'sender_id') as ClientKey['senderId'], clientId, seq: seqIn(row, 'seq') }];
}

function groupByShard<T extends ClientKey>(keys: readonly T[]): Map<number, T[]> {
  const shards = new Map<number, T[]>();
  for (const key of keys) {
    const shard = shardOf(key);
    const beside = shards.get(shard);
    if (beside === undefined) shards.set(shard, [key]);
    else beside.push(key);
  }
  return shards;
}

/** FNV-1a over the key: part of where rows are, so it never changes. */
export function shardOf({ senderId, clientId }: ClientKey): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${senderId}\u0000${clientId}`)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0) % CLIENT_ID_SHARDS;
}
