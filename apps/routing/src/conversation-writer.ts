import {
  type Command,
  type CommandOutcome,
  type ConversationId,
  type DirectoryLink,
  type MessageEntry,
  ParleyError,
  type PublishedEntry,
  type Refusal,
  refusalOf,
  type Seq,
  seq,
  type StoredEntry,
  type UserId,
} from '@parley/contracts';
import { applyChange, foldMessage } from '@parley/conversation';
import { APPEND_MAX_ENTRIES, type ClientKey, clientKey, type ConversationLog } from '@parley/conversation-log';
import type { Taken } from '@parley/rate-limiter';
import type { ServiceContext, TraceSpan } from '@parley/service-kit';

import { decide, type Decision, type Facts, type Rules } from './decide.js';
import type { RoutingMetrics } from './metrics.js';
import { CLIENT_ID_TTL_MS, ConversationState, type Targets } from './state.js';

/** A batch that keeps losing the race for the head is given up; its senders retry. */
const CONFLICTS_MAX = 10;

export interface WriterPorts {
  readonly log: ConversationLog;
  readonly directory: DirectoryLink;
  readonly context: ServiceContext;
  readonly metrics: RoutingMetrics;
  readonly rules: Rules;
  /** A token of the conversation's rate. */
  readonly limit: () => Taken;
  /** This life of this instance, as the log's journal names it. */
  readonly writer: () => string;
  /** Commands that may wait for one conversation; beyond, senders are told `overloaded`. */
  readonly queueMax: number;
  /** Called in order, once for every batch that is durable. */
  readonly appended: (state: ConversationState, entries: readonly PublishedEntry[]) => void;
  /** Called when the state was read from the log: first use, after a conflict, after a write of unknown outcome. */
  readonly loaded: (state: ConversationState) => void;
  /** Too much of the conversation is durable but not published: nothing more is taken until the bus follows. */
  readonly overloaded: (state: ConversationState) => boolean;
}

interface Waiting {
  readonly command: Command;
  readonly span: TraceSpan;
  readonly resolve: (outcome: CommandOutcome) => void;
}

/**
 * The one place where a conversation's commands become entries. Everything that waits is decided in order of arrival
 * and appended in one compare-and-append, so a hot conversation costs one durable write a batch, not one a message.
 */
export class ConversationWriter {
  readonly #id: ConversationId;
  readonly #ports: WriterPorts;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #state: ConversationState | undefined;

  constructor(id: ConversationId, ports: WriterPorts) {
    this.#id = id;
    this.#ports = ports;
  }

  get idle(): boolean {
    return this.#running === undefined && this.#waiting.length === 0;
  }

  /** Resolves when everything that waits is answered. */
  finished(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }

  get queued(): number {
    return this.#waiting.length;
  }

  submit(command: Command, span: TraceSpan): Promise<CommandOutcome> {
    const behind = this.#state !== undefined && this.#ports.overloaded(this.#state);
    if (behind || this.#waiting.length >= this.#ports.queueMax) {
      return Promise.resolve(refused({ code: 'overloaded', message: 'The conversation is busy', retryAfterMs: 1_000 }));
    }
    return new Promise((resolve) => {
      this.#waiting.push({ command, span, resolve });
      this.#running ??= this.#run();
    });
  }

  /** The conversation's state as of its head, loaded if need be; null for a conversation that does not exist. */
  async load(): Promise<ConversationState | null> {
    if (this.#state !== undefined) return this.#state;
    const state = await this.#read();
    if (state === null) return null;
    this.#state = state;
    this.#ports.loaded(state);
    return state;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch();
      try {
        await this.#accept(batch);
      } catch (error) {
        // What the log holds is not known after a failed write: look again before the next.
        this.#state = undefined;
        this.#refuseAll(batch, error);
      }
    }
    this.#running = undefined;
  }

  /** Up to one append's worth; a command that could take an owner away is decided alone, on the owners as of the head. */
  #takeBatch(): Waiting[] {
    const alone = this.#waiting.findIndex(({ command }) => mayTakeOwner(command));
    const end = alone === 0 ? 1 : Math.min(alone === -1 ? this.#waiting.length : alone, APPEND_MAX_ENTRIES);
    return this.#waiting.splice(0, end);
  }

  /** What is too much for one append at this position of the log comes next. */
  #putBack(rest: readonly Waiting[]): void {
    this.#waiting.unshift(...rest);
  }

  async #accept(batch: Waiting[]): Promise<void> {
    for (let attempt = 0; attempt < CONFLICTS_MAX; attempt += 1) {
      const state = await this.load();
      if (state === null) {
        for (const { resolve } of batch) {
          resolve(refused({ code: 'not_found', message: 'There is no such conversation' }));
        }
        return;
      }
      this.#putBack(batch.splice(this.#ports.log.appendLimit(state.head.seq)));
      if (await this.#attempt(state, batch)) return;
      this.#ports.metrics.conflicts.inc();
      this.#state = undefined;
    }
    throw new ParleyError('unavailable', 'The conversation is being written to from elsewhere', {
      retryAfterMs: 1_000,
    });
  }

  /** Decides and appends; false when another writer was there first. */
  async #attempt(state: ConversationState, batch: readonly Waiting[]): Promise<boolean> {
    const expectedHead = state.head.seq;
    const looking = this.#ports.context.tracing.batch('routing', 'look up', spansOf(batch));
    const lookedUp = await this.#lookUp(state, batch).finally(() => looking.end());
    const nowMs = this.#ports.context.clock.now();
    const published: PublishedEntry[] = [];
    const decided = batch.map((waiting): { readonly waiting: Waiting; readonly decision: Decision } => {
      const decision = this.#limited(
        this.#decide(waiting.command, { state, ...lookedUp, rules: this.#ports.rules, nowMs }),
      );
      if (decision.kind === 'append') published.push(place(decision.entry, waiting, state, lookedUp.targets));
      return { waiting, decision };
    });
    if (published.length > 0) {
      const outcome = await this.#append(expectedHead, published);
      if (outcome.kind === 'conflict') return false;
      this.#ports.metrics.batchEntries.observe(published.length);
      this.#ports.appended(state, published);
    }
    for (const { waiting, decision } of decided) this.#answer(waiting, decision, expectedHead);
    return true;
  }

  async #append(expectedHead: Seq, published: readonly PublishedEntry[]) {
    const { log, writer, context } = this.#ports;
    const span = context.tracing.batch('routing', 'append to log', published, { 'parley.entries': published.length });
    try {
      const outcome = await log.append(this.#id, expectedHead, published.map(stored), writer());
      span.end();
      return outcome;
    } catch (error) {
      span.end(error);
      throw error;
    }
  }

  /** A command that cannot be decided fails by itself, not with everyone else's. */
  #decide(command: Command, facts: Facts): Decision {
    try {
      return decide(command, seq(facts.state.head.seq + 1), facts);
    } catch (error) {
      const { requestId } = command.context;
      this.#ports.context.log.error({ err: error, conversationId: this.#id, requestId }, 'undecidable');
      return { kind: 'refused', refusal: { code: 'internal', message: 'The request could not be decided' } };
    }
  }

  #limited(decision: Decision): Decision {
    if (decision.kind !== 'append') return decision;
    const taken = this.#ports.limit();
    if (taken.ok) return decision;
    const { retryAfterMs } = taken;
    return {
      kind: 'refused',
      refusal: { code: 'rate_limited', message: 'Too much is being said in this conversation', retryAfterMs },
    };
  }

  #answer({ span, resolve, command }: Waiting, decision: Decision, expectedHead: Seq): void {
    switch (decision.kind) {
      case 'append':
        this.#ports.metrics.entries.inc({ kind: decision.entry.kind });
        resolve({ kind: 'accepted', entry: decision.entry });
        break;
      case 'duplicate':
        this.#ports.metrics.duplicates.inc();
        // A duplicate within the batch is answered after its first is durable, as every other.
        resolve({ kind: 'duplicate', entry: decision.entry });
        break;
      case 'unchanged':
        resolve(decision);
        break;
      case 'refused':
        this.#ports.metrics.refused.inc({ code: decision.refusal.code });
        this.#ports.context.log.debug(
          {
            requestId: command.context.requestId,
            conversationId: this.#id,
            head: expectedHead,
            code: decision.refusal.code,
          },
          'refused',
        );
        resolve(decision);
        break;
    }
    span.end();
  }

  #refuseAll(batch: readonly Waiting[], error: unknown): void {
    const refusal = refusalOf(error, 'The message could not be accepted');
    this.#ports.context.log.error({ err: error, conversationId: this.#id, commands: batch.length }, 'batch failed');
    for (const { resolve, span } of batch) {
      this.#ports.metrics.refused.inc({ code: refusal.code });
      span.end(error);
      resolve(refused(refusal));
    }
  }

  /** One round trip each for standings, client ids and targets that memory does not have. */
  async #lookUp(state: ConversationState, batch: readonly Waiting[]) {
    const { log, directory, context } = this.#ports;
    state.trim();
    const people = new Set<UserId>();
    const keys = new Map<string, ClientKey>();
    const targets = new Set<number>();
    let owners = false;
    for (const { command } of batch) {
      const { actor, body } = command;
      for (const userId of [actor.userId, ...(body.kind === 'member' ? body.userIds : [])]) {
        if (state.standing(userId) === undefined) people.add(userId);
      }
      if (body.kind === 'message') {
        const key = { senderId: actor.userId, clientId: body.clientId };
        if (state.recentFrom > 0 && !state.recent.has(clientKey(key))) keys.set(clientKey(key), key);
        if (body.parentSeq !== undefined) targets.add(body.parentSeq);
      } else if ('targetSeq' in body) {
        targets.add(body.targetSeq);
      }
      owners ||= mayTakeOwner(command);
    }
    const [members, found, loaded, ownerIds] = await Promise.all([
      people.size === 0 ? null : directory.memberships(this.#id, [...people], state.head.memberSeq),
      keys.size === 0
        ? new Map<string, StoredEntry>()
        : log.findClientIds(this.#id, [...keys.values()], context.clock.now() - CLIENT_ID_TTL_MS, state.recentFrom),
      this.#loadTargets(targets),
      owners ? this.#owners(state) : null,
    ]);
    if (members !== null) state.learn(members.members, [...people]);
    return { targets: loaded, owners: ownerIds, found: messagesOf(found) };
  }

  async #loadTargets(targets: ReadonlySet<number>): Promise<Targets> {
    const loaded: Targets = new Map();
    await Promise.all(
      [...targets].map(async (target) => {
        const at = seq(target);
        const [found, changes] = await Promise.all([
          this.#ports.log.read(this.#id, { after: seq(target - 1), upTo: at, limit: 1 }),
          this.#ports.log.readChanges(this.#id, { from: at, to: at }),
        ]);
        const entry = found[0]?.entry;
        loaded.set(
          target,
          entry?.kind === 'message'
            ? foldMessage(
                entry,
                changes.map((change) => change.entry),
              )
            : null,
        );
      }),
    );
    return loaded;
  }

  async #owners(state: ConversationState): Promise<ReadonlySet<UserId>> {
    const { members } = await this.#ports.directory.allMemberships(this.#id, state.head.memberSeq);
    return new Set(members.filter(({ role, leftSeq }) => role === 'owner' && leftSeq === null).map((m) => m.userId));
  }

  async #read(): Promise<ConversationState | null> {
    const { log, directory } = this.#ports;
    const head = await log.head(this.#id);
    let facts = await directory.conversation(this.#id);
    if (facts !== null && facts.appliedSeq < head.memberSeq) {
      // The projection lags: asking for members as of the head brings it up to date.
      await directory.memberships(this.#id, [], head.memberSeq);
      facts = await directory.conversation(this.#id);
    }
    if (facts === null) return null;
    // The unsealed tail is always in memory: its client ids may not be found anywhere else.
    const after = head.sealedSeq;
    const tail: StoredEntry[] = [];
    for (let from = after; from < head.seq;) {
      const page = await log.read(this.#id, { after: from, upTo: head.seq, limit: 1_000 });
      const last = page.at(-1);
      if (last === undefined) break;
      tail.push(...page);
      from = last.entry.seq;
    }
    return new ConversationState(head, facts, tail, after);
  }
}

const spansOf = (batch: readonly Waiting[]): readonly TraceSpan[] => batch.map(({ span }) => span);

/** Makes the entry part of the state and of what later commands of the batch refer to. */
function place(
  entry: PublishedEntry['entry'],
  { command, span }: Waiting,
  state: ConversationState,
  targets: Targets,
): PublishedEntry {
  const prevMemberSeq = state.head.memberSeq;
  const made: StoredEntry = {
    entry,
    json: JSON.stringify(entry),
    ordinal: state.head.ordinal + (entry.kind === 'message' ? 1 : 0),
    memberSeq: entry.kind === 'member' || entry.kind === 'settings' ? entry.seq : prevMemberSeq,
  };
  state.apply([made]);
  if (entry.kind === 'message') targets.set(entry.seq, foldMessage(entry, []));
  if ('targetSeq' in entry) {
    const target = targets.get(entry.targetSeq);
    if (target !== undefined && target !== null) targets.set(entry.targetSeq, applyChange(target, entry));
  }
  return {
    ...made,
    prevMemberSeq,
    receivedAtMs: command.context.receivedAtMs,
    ...(command.originSessionId === undefined ? {} : { originSessionId: command.originSessionId }),
    ...(span.traceparent === undefined ? {} : { traceparent: span.traceparent }),
  };
}

const refused = (refusal: Refusal): CommandOutcome => ({ kind: 'refused', refusal });

const stored = ({ entry, json, ordinal, memberSeq }: StoredEntry): StoredEntry => ({ entry, json, ordinal, memberSeq });

function messagesOf(found: ReadonlyMap<string, StoredEntry>): ReadonlyMap<string, MessageEntry> {
  const messages = new Map<string, MessageEntry>();
  for (const [key, { entry }] of found) if (entry.kind === 'message') messages.set(key, entry);
  return messages;
}

function mayTakeOwner({ body }: Command): boolean {
  return body.kind === 'leave' || (body.kind === 'member' && body.op !== 'added');
}
