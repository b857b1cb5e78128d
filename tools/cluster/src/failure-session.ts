import { type RawSession, RawSession as Sessions, type SessionAddress } from '@parley/load';
import { z } from 'zod';

/** The design's first wait, ± 50 %: in these runs nobody is away for long. */
const RECONNECT_MS = 1_000;
const RECONNECT_JITTER = 0.5;
const OPEN_WITHIN_MS = 3_000;

const Event = z.tuple([z.string(), z.record(z.string(), z.unknown())]);
const Ack = z.tuple([z.record(z.string(), z.unknown())]);

export interface ServerEvent {
  readonly event: string;
  readonly payload: Readonly<Record<string, unknown>>;
}
const Entry = z.looseObject({ conversationId: z.string(), seq: z.number(), kind: z.string() });
export type Entry = z.infer<typeof Entry>;
export type Answer = Readonly<Record<string, unknown>>;

export interface SessionOptions {
  /** Asked before each connection, as every client does. */
  readonly assign: () => Promise<SessionAddress>;
  /** After each connection but the first, and when something is missing: all entries after a position. */
  readonly fetch: (conversationId: string, after: number) => Promise<readonly Entry[]>;
}

/** One person's session, which comes back by itself; it keeps what arrived and tells who waits for it. */
export class LiveSession {
  readonly #arrived: ServerEvent[] = [];
  readonly #cursors = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  #raw: RawSession | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(private readonly options: SessionOptions) {}

  static async open(options: SessionOptions): Promise<LiveSession> {
    const session = new LiveSession(options);
    try {
      await session.#connect();
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  get connected(): boolean {
    return this.#raw?.open === true;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#raw?.close();
  }

  /** The acknowledgement, whatever it says; rejects when the connection ended before there was one. */
  request(event: string, payload: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#raw === undefined) reject(new Error(`${event}: there is no connection`));
      this.#raw?.emit(event, JSON.stringify(payload), (_ok, frame, start, end) => {
        if (start === end) reject(new Error(`${event}: the connection ended`));
        else resolve(Ack.parse(JSON.parse(frame.toString('utf8', start, end)))[0]);
      });
    });
  }

  /** Resolves when it has arrived, or had before; rejects after `withinMs`. */
  until(what: string, holds: (one: ServerEvent) => boolean, withinMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(look);
        const state = this.connected ? 'connected' : 'not connected';
        reject(new Error(`no ${what} within ${withinMs} ms (${state}, ${this.#arrived.length} events arrived)`));
      }, withinMs);
      const look = (): void => {
        if (!this.#arrived.some(holds)) return;
        this.#waiting.delete(look);
        clearTimeout(late);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Also what was fetched: to a person it is all the same how a message came. */
  #arrive(event: string, payload: Readonly<Record<string, unknown>>): void {
    this.#arrived.push({ event, payload });
    const entry = Entry.safeParse(payload);
    if (entry.success) {
      const { conversationId, seq } = entry.data;
      const cursor = this.#cursors.get(conversationId);
      if (cursor !== undefined && seq > cursor + 1) void this.#catchUp(conversationId, cursor);
      this.#cursors.set(conversationId, Math.max(seq, cursor ?? 0));
    }
    for (const look of [...this.#waiting]) look();
  }

  /** What cannot be fetched now is asked for at the next jump or connection. */
  async #catchUp(conversationId: string, after: number): Promise<void> {
    try {
      const entries = await this.options.fetch(conversationId, after);
      for (const entry of entries) this.#arrive(`fetched.${entry.kind}`, entry);
    } catch {
      this.#cursors.set(conversationId, after);
    }
  }

  async #connect(): Promise<void> {
    const address = await this.options.assign();
    if (this.#closed) return;
    this.#raw = await Sessions.open(
      address,
      {
        onEvent: (bytes, start, end) => {
          const [event, payload] = Event.parse(JSON.parse(bytes.toString('utf8', start + 2, end)));
          this.#arrive(event, payload);
        },
        onClose: () => this.#reconnectLater(),
      },
      OPEN_WITHIN_MS,
    );
  }

  /** A connection that could not be made has closed as well, or was never begun: once for each attempt. */
  #reconnectLater(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#connect()
          .then(() => Promise.all([...this.#cursors].map(([id, cursor]) => this.#catchUp(id, cursor))))
          .catch(() => this.#reconnectLater());
      },
      RECONNECT_MS * (1 + RECONNECT_JITTER * (2 * Math.random() - 1)),
    );
  }
}
