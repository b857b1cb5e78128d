import { type ConversationId, LogEntry, parse } from '@parley/contracts';
import {
  type Account,
  type Backoff,
  Histogram,
  type LatencySummary,
  mapBounded,
  type RestClient,
  untilAnswered,
} from '@parley/load';
import { setTimeout as sleep } from 'node:timers/promises';

import { playChanges } from './changes.js';
import { checkHistory, type Verdict } from './history.js';
import { maySee, type Player } from './player.js';
import { ReplayClient } from './replay-client.js';
import type { Script, Step } from './script.js';
import { Slots } from './slots.js';

export interface ConversationReplay {
  readonly name: string;
  readonly lines: number;
  readonly script: Script;
  readonly rest: RestClient;
  readonly owner: Account;
  /** In the order of the script's roster. */
  readonly accounts: readonly Account[];
  /** Public ones are joined by their members, private ones by the owner's hand. */
  readonly visibility: 'public' | 'private';
  readonly speed: number | 'max';
  readonly inFlightMax: number;
  readonly backoff: Backoff;
  readonly onProgress: () => void;
  /** Live events may be lost in this run (see ConversationHistory). */
  readonly lossy: boolean;
}

export interface ConversationReport {
  readonly name: string;
  readonly conversationId: string;
  readonly clients: number;
  readonly lines: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly resent: number;
  readonly reconnections: number;
  readonly liveEvents: number;
  readonly fetched: number;
  readonly entries: Readonly<Record<string, number>>;
  /** Requests that the server refused, and what else went wrong beside the history. */
  readonly failures: readonly string[];
  readonly verdict: Verdict;
  readonly sendToAck: LatencySummary;
  readonly sendToLast: LatencySummary;
}

const CONNECT_AT_ONCE = 32;
const REREAD_AT_ONCE = 4;
const SETTLE_MS = 10_000;
const FAILURES_KEPT = 100;

/** Plays one log into one conversation, then reads everything again and proves what everybody saw. */
export class ConversationPlay {
  readonly #play: ConversationReplay;
  readonly #failures: string[] = [];
  readonly #sentLines = new Map<number, Promise<number | undefined>>();
  readonly #lastSeen = new Map<number, number>();
  readonly #sendToAck = new Histogram();
  readonly #interned = new Map<string, LogEntry>();
  #conversationId = '';
  #owner: Player | undefined;
  #players: readonly Player[] = [];
  #sent = 0;
  #acknowledged = 0;
  #stepsDone = 0;

  constructor(play: ConversationReplay) {
    this.#play = play;
  }

  get progress(): { done: number; total: number; acknowledged: number; reconnections: number } {
    return {
      done: this.#stepsDone,
      total: this.#play.script.steps.length,
      acknowledged: this.#acknowledged,
      reconnections: this.#everyone().reduce((sum, { client }) => sum + client.reconnections, 0),
    };
  }

  async run(): Promise<ConversationReport> {
    const { owner, name, visibility, accounts, script } = this.#play;
    try {
      const body = { type: 'channel', history: 'joined', memberIds: [], name, visibility };
      this.#conversationId = (await owner.call('createConversation', { body })).id;
      const stage = this.#enter(owner, 'owner');
      stage.member = true;
      this.#owner = stage;
      this.#players = accounts.map((account, role) => this.#enter(account, script.roster[role]?.nick ?? String(role)));
      await mapBounded(this.#everyone(), CONNECT_AT_ONCE, ({ client }) => client.start());
      await this.#playSteps();
      await playChanges({
        conversationId: this.#conversationId,
        owner: stage,
        players: this.#players,
        sentLines: this.#sentLines,
        attempt: (what, act) => this.#attempt(what, act),
      });
      return await this.#prove(stage);
    } finally {
      for (const { client } of this.#everyone()) client.stop();
    }
  }

  #everyone(): readonly Player[] {
    return this.#owner === undefined ? this.#players : [this.#owner, ...this.#players];
  }

  #enter(account: Account, name: string): Player {
    const client = new ReplayClient({
      name: `${name} (${account.user.username})`,
      account,
      conversationId: this.#conversationId,
      backoff: this.#play.backoff,
      intern: (payload) => this.#intern(payload),
      onFirstSight: (seq, atMs) => this.#lastSeen.set(seq, Math.max(atMs, this.#lastSeen.get(seq) ?? 0)),
    });
    return { account, client, member: false, joinedAt: Infinity, past: [], turn: Promise.resolve() };
  }

  #intern(payload: unknown): LogEntry {
    const key = JSON.stringify(payload);
    const known = this.#interned.get(key);
    if (known !== undefined) return known;
    const entry = parse(LogEntry, payload, 'log entry');
    this.#interned.set(key, entry);
    return entry;
  }

  /** Steps start in the order of the log; each person's happen one after the other; so many at once and no more. */
  async #playSteps(): Promise<void> {
    const { script, speed, inFlightMax } = this.#play;
    const slots = new Slots(inFlightMax);
    const startMs = performance.now();
    for (const step of script.steps) {
      if (speed !== 'max') {
        const waitMs = startMs + step.atMs / speed - performance.now();
        if (waitMs > 0) await sleep(waitMs);
      }
      await slots.take();
      const player = this.#players[step.role];
      if (player === undefined) throw new RangeError(`no player for role ${step.role}`);
      const acted = player.turn.then(() =>
        this.#attempt(`line ${step.line}: ${step.kind}`, () => this.#act(step, player)),
      );
      player.turn = acted.then(() => {
        slots.release();
        this.#stepsDone += 1;
        this.#play.onProgress();
      });
      if (step.kind === 'send')
        this.#sentLines.set(
          step.line,
          acted.then((seq) => seq ?? undefined),
        );
    }
    await Promise.all(this.#players.map(({ turn }) => turn));
  }

  async #attempt<T>(what: string, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      if (this.#failures.length < FAILURES_KEPT) this.#failures.push(`${what}: ${String(error)}`);
      return undefined;
    }
  }

  /** Answers the seq of a message that was sent. */
  async #act(step: Step, player: Player): Promise<number | undefined> {
    switch (step.kind) {
      case 'join':
        await this.#join(step, player);
        return undefined;
      case 'leave':
        await player.client.leave();
        player.past.push({ from: player.joinedAt, to: player.client.cursor });
        player.member = false;
        return undefined;
      case 'rename': {
        const body = { displayName: step.displayName };
        await untilAnswered(() => player.account.call('updateMe', { body }));
        return undefined;
      }
      case 'send': {
        const answered = step.answers === undefined ? undefined : await this.#sentLines.get(step.answers);
        const parentSeq = answered !== undefined && maySee(player, answered) ? answered : undefined;
        this.#sent += 1;
        const resent = player.client.resent;
        const send = await player.client.send(`line-${step.line}`, step.text, parentSeq);
        this.#acknowledged += 1;
        if (player.client.resent === resent) this.#sendToAck.record(send.acknowledgedAtMs - send.startedAtMs);
        return send.seq;
      }
    }
  }

  async #join(step: Step, player: Player): Promise<void> {
    const params = { conversationId: this.#conversationId };
    player.client.rejoined();
    if (this.#play.visibility === 'public' && step.role % 2 === 1) {
      // Its answer has the head at some time after the entry: what is later than that is certainly visible.
      player.joinedAt = (await untilAnswered(() => player.account.call('join', { params }))).head;
    } else {
      const body = { userIds: [player.account.user.id] };
      player.joinedAt = (await untilAnswered(() => this.#play.owner.call('addMembers', { params, body }))).seq;
    }
    player.member = true;
  }

  async #prove(owner: Player): Promise<ConversationReport> {
    const head = (
      await untilAnswered(() =>
        this.#play.owner.call('conversation', { params: { conversationId: this.#conversationId as ConversationId } }),
      )
    ).head;
    const everyone = this.#everyone();
    await settled(everyone, head);
    await mapBounded(everyone, REREAD_AT_ONCE, ({ client }) => client.catchUp());
    const log = (await owner.client.reread()) ?? [];
    const clients = await mapBounded(everyone, REREAD_AT_ONCE, async ({ client }) =>
      client.history(await client.reread()),
    );
    const verdict = checkHistory({ log, ownerId: owner.client.userId, clients, lossy: this.#play.lossy });
    const entries: Record<string, number> = {};
    for (const { kind } of log) entries[kind] = (entries[kind] ?? 0) + 1;
    const total = (of: (client: ReplayClient) => number): number =>
      everyone.reduce((sum, { client }) => sum + of(client), 0);
    const sendToLast = new Histogram();
    for (const send of clients.flatMap(({ sends }) => sends)) {
      const last = this.#lastSeen.get(send.seq);
      if (last !== undefined) sendToLast.record(last - send.startedAtMs);
    }
    return {
      name: this.#play.name,
      conversationId: this.#conversationId,
      clients: everyone.length,
      lines: this.#play.lines,
      sent: this.#sent,
      acknowledged: this.#acknowledged,
      resent: total((client) => client.resent),
      reconnections: total((client) => client.reconnections),
      liveEvents: total((client) => client.liveEvents),
      fetched: total((client) => client.fetchedEntries),
      entries,
      failures: [...this.#failures, ...everyone.flatMap(({ client }) => client.failures)],
      verdict,
      sendToAck: this.#sendToAck.summary(),
      sendToLast: sendToLast.summary(),
    };
  }
}

/** What is on its way live may arrive before the rest is fetched. */
async function settled(players: readonly Player[], head: number): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  while (performance.now() < deadline && players.some(({ member, client }) => member && client.cursor < head)) {
    await sleep(50);
  }
}
