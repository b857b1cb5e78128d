import {
  type ClientAck,
  type ClientEvent,
  type ClientRequest,
  eventOf,
  type LogEntry,
  parse,
  ParleyError,
  SERVER_EVENTS,
  SyncBody,
} from '@parley/contracts';
import { type Account, type Backoff, backoffMs, mayRepeat, NoAnswer, untilAnswered } from '@parley/load';
import { setTimeout as sleep } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { z } from 'zod';

import { EntryFeed } from './entry-feed.js';
import { request } from './socket-request.js';
import type { AcknowledgedChange, AcknowledgedSend, ClientHistory } from './history.js';

export interface ClientOptions {
  readonly name: string;
  readonly account: Account;
  readonly conversationId: string;
  readonly backoff: Backoff;
  /** One shared object per distinct entry: 600,000 events are 4,000 entries. */
  readonly intern: (payload: unknown) => LogEntry;
  /** An entry that this client had not seen by any means, at this time. */
  readonly onFirstSight: (seq: number, atMs: number) => void;
}

/** Events that carry a log entry; all others are looked at for their conversation only. */
const ENTRY_EVENTS: ReadonlySet<string> = new Set(
  Object.entries(SERVER_EVENTS).flatMap(([name, { payload }]) =>
    payload instanceof z.ZodObject && 'seq' in payload.shape && 'kind' in payload.shape ? [name] : [],
  ),
);
const Addressed = z.object({ conversationId: z.string(), seq: z.number().optional(), kind: z.string().optional() });
const Draining = z.object({ reconnectAfterMs: z.number() });

const OPEN_TIMEOUT_MS = 20_000;
/** A gap may close by itself: an acknowledgement can overtake the events before it. */
const GAP_GRACE_MS = 250;
const SYNC_PAGE = 1_000;
/** Longer than a few of the longest waits between connections. */
const GIVE_UP_MS = 300_000;
const FAILURES_KEPT = 20;

type State =
  { readonly kind: 'live'; readonly socket: Socket } | { readonly kind: 'connecting' | 'waiting' | 'stopped' };

/**
 * One person's client of one conversation, over the real Socket.IO client: a new session after each disconnect, with
 * backoff; caught up by cursor after each; everything that it is told is kept for the proof.
 */
export class ReplayClient {
  readonly #options: ClientOptions;
  readonly #feed = new EntryFeed();
  readonly #live: { entry: LogEntry; connection: number }[] = [];
  readonly #fetched: { after: number; entries: readonly LogEntry[] }[] = [];
  readonly #sends: AcknowledgedSend[] = [];
  readonly #changes: AcknowledgedChange[] = [];
  readonly #strays: string[] = [];
  #state: State = { kind: 'waiting' };
  #connections = 0;
  #wasLive = false;
  #attempt = 0;
  #timer: NodeJS.Timeout | undefined;
  #gapTimer: NodeJS.Timeout | undefined;
  #whenLive = Promise.withResolvers<void>();
  #fetching: Promise<void> = Promise.resolve();
  #leaving = false;
  #awayWhileLeaving = false;
  resent = 0;
  reconnections = 0;
  readonly #failures: string[] = [];

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  get userId(): string {
    return this.#options.account.user.id;
  }

  get cursor(): number {
    return this.#feed.cursor;
  }

  hasSent(seq: number): boolean {
    return this.#sends.some((send) => send.seq === seq);
  }

  get liveEvents(): number {
    return this.#live.length;
  }

  get fetchedEntries(): number {
    return this.#fetched.reduce((sum, page) => sum + page.entries.length, 0);
  }

  /** What went wrong outside of a request that somebody waits for; the first of it. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  /** Answers once the first session is live. */
  async start(): Promise<void> {
    if (this.#state.kind === 'waiting' && this.#timer === undefined) void this.#connect();
    await this.#liveSocket();
  }

  stop(): void {
    const { socket } = { socket: undefined, ...this.#state };
    this.#state = { kind: 'stopped' };
    clearTimeout(this.#timer);
    clearTimeout(this.#gapTimer);
    socket?.disconnect();
  }

  /** Sends until acknowledged, always with the same client id. */
  async send(clientId: string, text: string, parentSeq?: number): Promise<AcknowledgedSend> {
    const body = { clientId, content: { type: 'text', text }, ...(parentSeq === undefined ? {} : { parentSeq }) };
    const startedAtMs = performance.now();
    const { message } = await this.#repeat('message.send', body);
    const acknowledgedAtMs = performance.now();
    const send: AcknowledgedSend = {
      clientId,
      text,
      seq: message.seq,
      startedAtMs,
      acknowledgedAtMs,
      ...(parentSeq === undefined ? {} : { parentSeq }),
    };
    this.#sends.push(send);
    this.#receive(message.seq);
    return send;
  }

  /** Edits, deletes or reacts. One whose answer was lost is asked for again, and may then be refused: it was done. */
  async change(
    event: 'message.edit' | 'message.delete' | 'reaction.add' | 'reaction.remove',
    targetSeq: number,
    more: { content?: { type: 'text'; text: string }; emoji?: string } = {},
  ): Promise<void> {
    const resentBefore = this.resent;
    let seq: number;
    try {
      ({ seq } = await this.#repeat(event, { seq: targetSeq, ...more }));
    } catch (error) {
      if (error instanceof ParleyError && !mayRepeat(error) && this.resent > resentBefore) return;
      throw error;
    }
    const kind = event === 'message.edit' ? 'edit' : event === 'message.delete' ? 'delete' : 'reaction';
    this.#changes.push({ kind, seq, targetSeq });
    this.#receive(seq);
  }

  /** Catches up, then leaves; from here on a lost connection may hide the end of the membership from this client. */
  async leave(): Promise<void> {
    this.#leaving = true;
    await this.#liveSocket();
    await this.catchUp();
    if (this.#state.kind !== 'live') this.#awayWhileLeaving = true;
    const { account, conversationId } = this.#options;
    let attempts = 0;
    await untilAnswered(async () => {
      attempts += 1;
      try {
        await account.call('leave', { params: { conversationId } });
      } catch (error) {
        if (attempts === 1 || !(error instanceof ParleyError) || mayRepeat(error)) throw error;
      }
    });
  }

  rejoined(): void {
    this.#leaving = false;
    this.#awayWhileLeaving = false;
  }

  /** Fetches over REST from the cursor to the head; nothing, for someone who is no member. */
  catchUp(): Promise<void> {
    this.#fetching = this.#fetching.then(() => this.#fetchFromCursor());
    return this.#fetching;
  }

  /** Everything read again from the start; null when the server knows of no such conversation. */
  async reread(): Promise<readonly LogEntry[] | null> {
    const entries: LogEntry[] = [];
    for (let after = 0, more = true; more;) {
      const page = await this.#page(after);
      if (page === null) return null;
      entries.push(...page.entries.map(this.#options.intern));
      more = page.hasMore;
      after = page.cursor;
    }
    return entries;
  }

  history(reread: readonly LogEntry[] | null): ClientHistory {
    return {
      name: this.#options.name,
      userId: this.userId,
      live: this.#live,
      fetched: this.#fetched,
      shown: this.#feed.shown,
      sends: this.#sends,
      changes: this.#changes,
      reread,
      awayWhileLeaving: this.#awayWhileLeaving,
      strays: this.#strays,
    };
  }

  async #connect(): Promise<void> {
    this.#state = { kind: 'connecting' };
    this.#timer = undefined;
    try {
      const deviceId = 'replay';
      const { url, path, ticket } = await this.#options.account.call('session', { body: { deviceId } });
      if (this.#stopped()) return;
      const socket = io(url, {
        path,
        auth: { ticket },
        transports: ['websocket'],
        reconnection: false,
        forceNew: true,
        timeout: OPEN_TIMEOUT_MS,
      });
      const notReady = setTimeout(() => socket.disconnect(), OPEN_TIMEOUT_MS);
      let ended = false;
      const end = (): void => {
        if (ended) return;
        ended = true;
        clearTimeout(notReady);
        socket.disconnect();
        this.#disconnected();
      };
      const connection = this.#connections;
      this.#connections += 1;
      socket.once('connect_error', end);
      socket.once('disconnect', end);
      socket.once('session.ready', () => {
        clearTimeout(notReady);
        this.#ready(socket);
      });
      socket.on('server.draining', (payload: unknown) => {
        setTimeout(() => socket.disconnect(), parse(Draining, payload).reconnectAfterMs).unref();
      });
      socket.onAny((event: string, payload: unknown) => this.#onEvent(event, payload, connection));
    } catch (error) {
      if (!mayRepeat(error)) this.#fail(`session: ${String(error)}`);
      this.#disconnected();
    }
  }

  #fail(what: string): void {
    if (this.#failures.length < FAILURES_KEPT) this.#failures.push(`${this.#options.name}: ${what}`);
  }

  #stopped(): boolean {
    return this.#state.kind === 'stopped';
  }

  #ready(socket: Socket): void {
    if (this.#stopped()) {
      socket.disconnect();
      return;
    }
    if (this.#wasLive) this.reconnections += 1;
    this.#wasLive = true;
    this.#state = { kind: 'live', socket };
    this.#attempt = 0;
    this.#whenLive.resolve();
    this.#fetching = this.#fetching.then(() => this.#syncOver(socket));
  }

  #disconnected(): void {
    if (this.#stopped() || this.#timer !== undefined) return;
    if (this.#state.kind === 'live') this.#whenLive = Promise.withResolvers<void>();
    if (this.#leaving) this.#awayWhileLeaving = true;
    this.#state = { kind: 'waiting' };
    this.#timer = setTimeout(() => void this.#connect(), backoffMs(this.#options.backoff, this.#attempt));
    this.#attempt += 1;
  }

  #onEvent(event: string, payload: unknown, connection: number): void {
    const atMs = performance.now();
    const addressed = Addressed.safeParse(event === 'conversation.created' ? addressOfCreated(payload) : payload);
    if (!addressed.success) return;
    if (addressed.data.conversationId !== this.#options.conversationId) {
      this.#strays.push(event);
      return;
    }
    const isEntry = addressed.data.seq !== undefined && addressed.data.kind !== undefined;
    if (!ENTRY_EVENTS.has(event) && !(isEntry && event === 'conversation.deleted')) return;
    const entry = this.#options.intern(payload);
    if (eventOf(entry) !== event) this.#fail(`${entry.kind} ${entry.seq} came as ${event}`);
    this.#live.push({ entry, connection });
    if (this.#receive(entry.seq)) this.#options.onFirstSight(entry.seq, atMs);
    if (entry.kind === 'member' && entry.op === 'removed' && entry.userIds.includes(this.#options.account.user.id)) {
      this.#leaving = false;
    }
  }

  #receive(seq: number): boolean {
    const fresh = this.#feed.receive(seq);
    if (this.#feed.waiting && this.#gapTimer === undefined) {
      this.#gapTimer = setTimeout(() => {
        this.#gapTimer = undefined;
        if (this.#feed.waiting) void this.catchUp();
      }, GAP_GRACE_MS);
    }
    return fresh;
  }

  /** After each connection: what changed since the cursor, over the socket. */
  async #syncOver(socket: Socket): Promise<void> {
    const { conversationId } = this.#options;
    for (let more = true; more && socket.connected;) {
      const after = this.#feed.cursor;
      const cursors = parse(SyncBody, { cursors: { [conversationId]: after }, limit: SYNC_PAGE });
      const answer = await request(socket, 'sync', cursors).catch((error: unknown) => {
        if (!mayRepeat(error)) this.#fail(`sync: ${String(error)}`);
        return undefined; // the connection ended, or will have a gap that is fetched
      });
      const changed = answer?.changed.find((one) => one.conversationId === conversationId);
      more = changed?.hasMore ?? false;
      if (changed !== undefined) this.#onPage(after, changed);
    }
  }

  async #fetchFromCursor(): Promise<void> {
    for (let more = true; more && !this.#stopped();) {
      const after = this.#feed.cursor;
      const page = await this.#page(after).catch((error: unknown) => {
        this.#fail(`fetch: ${String(error)}`);
        return null;
      });
      more = page?.hasMore ?? false;
      if (page !== null) this.#onPage(after, page);
    }
  }

  #onPage(after: number, page: { entries: readonly LogEntry[]; cursor: number }): void {
    const entries = page.entries.map(this.#options.intern);
    if (entries.length > 0) this.#fetched.push({ after, entries });
    this.#feed.fetched(
      entries.map(({ seq }) => seq),
      page.cursor,
    );
  }

  async #page(after: number): Promise<{ entries: LogEntry[]; cursor: number; hasMore: boolean } | null> {
    const query = { conversationId: this.#options.conversationId, after, limit: SYNC_PAGE };
    try {
      return await untilAnswered(() => this.#options.account.call('syncConversation', { query }));
    } catch (error) {
      if (error instanceof ParleyError && error.code === 'not_found') return null;
      throw error;
    }
  }

  /** The session, as soon as there is one; a server that never comes back ends the run. */
  async #liveSocket(): Promise<Socket> {
    const deadline = performance.now() + GIVE_UP_MS;
    while (this.#state.kind !== 'live') {
      if (performance.now() > deadline) throw new NoAnswer('session', `none within ${GIVE_UP_MS} ms`);
      await Promise.race([this.#whenLive.promise, sleep(1_000, undefined, { ref: false })]);
    }
    return this.#state.socket;
  }

  /** The same request until it is answered, over whichever connection there is. */
  async #repeat<E extends ClientEvent>(event: E, body: Readonly<Record<string, unknown>>): Promise<ClientAck<E>> {
    const payload = { conversationId: this.#options.conversationId, ...body } as unknown as ClientRequest<E>;
    let attempts = 0;
    return untilAnswered(
      async () => {
        if (attempts > 0) this.resent += 1;
        attempts += 1;
        return request(await this.#liveSocket(), event, payload);
      },
      { giveUpAfterMs: GIVE_UP_MS },
    );
  }
}

/** This event carries a conversation, which is named by its `id`. */
function addressOfCreated(payload: unknown): unknown {
  const created = z.object({ id: z.string() }).safeParse(payload);
  return created.success ? { conversationId: created.data.id } : undefined;
}
