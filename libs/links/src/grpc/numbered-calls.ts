import { status, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js';
import { ParleyError } from '@parley/contracts';

import { LinkDown } from '../links.js';
import type { LinkBounds } from './config.js';
import { fitting, joinItems } from './framing.js';
import { errorOf, REFUSED_MAX, wasRefused } from './status.js';
import { MOVE, type StreamMethod } from './stream-method.js';

export type RawStream = ClientDuplexStream<Buffer, Buffer>;

/** What the calls to one address need of it. */
export interface StreamPeer {
  readonly address: string;
  /** Null when the connection is ready, else a promise of that; it rejects with `LinkDown`, `sent` false. */
  ready(): Promise<void> | null;
  openStream(path: string): RawStream;
}

/** What left this process: by calls a message one sees how well they batch. */
export interface CallCounts {
  calls: number;
  messages: number;
}

interface OpenStream {
  readonly raw: RawStream;
  /** Its buffer is full; it says when there is room. */
  blocked: boolean;
}

interface Call<A> {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly dueMs: number;
  /** Null while it waits to be written. */
  stream: OpenStream | null;
  refused: number;
  /** Answered, or given up while it waited. */
  settled: boolean;
  readonly resolve: (value: A) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The calling side of a stream of numbered calls: whatever waits when the turn ends leaves as one message, answers come
 * back in any order. One stream is open at a time; it opens with the first call and again after it broke. Calls that
 * were written to a stream that breaks reject, their outcome unknown. When the service asks to move, new calls go to a
 * new stream while the old one answers what it has.
 */
export class NumberedCalls<Q, A> {
  /** Without an answer, oldest first, so that the first is the next to be due. */
  readonly #calls = new Map<number, Call<A>>();
  #waiting: Call<A>[] = [];
  #waitingBytes = 0;
  #current: OpenStream | undefined;
  #flushing = false;
  #lastNumber = 0;
  #expiry: NodeJS.Timeout | undefined;

  constructor(
    private readonly method: StreamMethod<Q, A>,
    private readonly peer: StreamPeer,
    private readonly deadlineMs: number,
    private readonly bounds: LinkBounds,
    private readonly counts: CallCounts,
  ) {}

  get idle(): boolean {
    return this.#calls.size === 0;
  }

  call(request: Q): Promise<A> {
    return new Promise((resolve, reject) => {
      const { callsMax, waitingMaxBytes, messageMaxBytes } = this.bounds;
      const number = ++this.#lastNumber;
      const bytes = this.method.encodeCall(number, request);
      if (bytes.length > messageMaxBytes) {
        throw new ParleyError('too_large', `A call has ${bytes.length} bytes, more than ${messageMaxBytes}`);
      }
      if (this.#calls.size >= callsMax || this.#waitingBytes + bytes.length > waitingMaxBytes) {
        throw new ParleyError('overloaded', `Too much waits for ${this.peer.address}`, { retryAfterMs: 1_000 });
      }
      const dueMs = performance.now() + this.deadlineMs;
      const call: Call<A> = { number, bytes, dueMs, stream: null, refused: 0, settled: false, resolve, reject };
      this.#calls.set(number, call);
      this.#waiting.push(call);
      this.#waitingBytes += bytes.length;
      this.#expiry ??= this.#expireAfter(this.deadlineMs);
      this.#flushSoon();
    });
  }

  /** Gives up: everything without an answer rejects. */
  close(): void {
    clearTimeout(this.#expiry);
    this.#expiry = undefined;
    const stream = this.#current;
    this.#current = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const call of this.#calls.values()) this.#fail(call, `The link to ${this.peer.address} was closed`);
    stream?.raw.cancel();
  }

  /** After the turn, when everything that came with it has been asked. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      const ready = this.peer.ready();
      if (ready === null) {
        this.#flushing = false;
        this.#flush();
        return;
      }
      ready.then(
        () => {
          this.#flushing = false;
          this.#flush();
        },
        (error: unknown) => {
          this.#flushing = false;
          this.#failWaiting(error);
        },
      );
    });
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    const stream = (this.#current ??= this.#open());
    while (this.#waiting.length > 0 && !stream.blocked) {
      const batch = this.#takeBatch();
      if (batch.length === 0) continue;
      for (const call of batch) call.stream = stream;
      this.counts.calls += batch.length;
      this.counts.messages += 1;
      const items = batch.map(({ bytes }) => bytes);
      stream.blocked = !stream.raw.write(this.method.batched ? joinItems(items) : Buffer.concat(items));
    }
  }

  #takeBatch(): readonly Call<A>[] {
    const count = this.method.batched ? fitting(this.#waiting, this.bounds.batchMaxBytes) : 1;
    const taken = this.#waiting.splice(0, count);
    for (const { bytes } of taken) this.#waitingBytes -= bytes.length;
    return taken.filter(({ settled }) => !settled);
  }

  #open(): OpenStream {
    const raw = this.peer.openStream(this.method.path);
    const stream: OpenStream = { raw, blocked: false };
    raw.on('data', (message: Buffer) => {
      if (message.length === MOVE.length) this.#move(stream);
      else this.#answer(stream, message);
    });
    raw.on('drain', () => {
      stream.blocked = false;
      this.#flushSoon();
    });
    // `status` says the same, and also when it is no error.
    raw.on('error', () => undefined);
    raw.on('status', (ended: StatusObject) => this.#ended(stream, ended));
    return stream;
  }

  #move(stream: OpenStream): void {
    if (this.#current === stream) this.#current = undefined;
    stream.raw.end();
    // What waited for room in the old stream's buffer has room in a new one.
    if (this.#waiting.length > 0) this.#flushSoon();
  }

  #answer(stream: OpenStream, message: Buffer): void {
    let answers;
    try {
      answers = this.method.decodeAnswers(message);
    } catch {
      // Unreadable: what it answers is not known, so nothing on the stream is. Its end rejects them.
      stream.raw.cancel();
      return;
    }
    for (const answer of answers) {
      const call = this.#calls.get(answer.call);
      // Given up already: its deadline passed.
      if (call === undefined) continue;
      this.#settle(call);
      if (answer.ok) call.resolve(answer.value);
      else call.reject(ParleyError.from(answer.refusal));
    }
  }

  #ended(stream: OpenStream, ended: StatusObject): void {
    if (this.#current === stream) this.#current = undefined;
    const error =
      ended.code === status.OK
        ? new LinkDown(`${this.peer.address} ended the stream`, true)
        : errorOf(ended, this.peer.address);
    const refused = wasRefused(ended);
    const again: Call<A>[] = [];
    for (const call of this.#calls.values()) {
      if (call.stream !== stream) continue;
      if (refused && call.refused < REFUSED_MAX) {
        call.refused += 1;
        call.stream = null;
        again.push(call);
        this.#waitingBytes += call.bytes.length;
      } else {
        this.#settle(call);
        call.reject(error);
      }
    }
    if (again.length > 0) this.#waiting = [...again, ...this.#waiting];
    if (this.#waiting.length > 0) this.#flushSoon();
  }

  #failWaiting(error: unknown): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const call of waiting) {
      if (call.settled) continue;
      this.#settle(call);
      call.reject(error);
    }
  }

  #expireAfter(delayMs: number): NodeJS.Timeout {
    const timer = setTimeout(() => this.#expire(), Math.max(1, Math.ceil(delayMs)));
    timer.unref();
    return timer;
  }

  /** One timer for all: they have the same deadline, so they are due in their order. */
  #expire(): void {
    this.#expiry = undefined;
    const nowMs = performance.now();
    for (const call of this.#calls.values()) {
      if (call.dueMs > nowMs) {
        this.#expiry = this.#expireAfter(call.dueMs - nowMs);
        break;
      }
      this.#fail(call, `${this.peer.address} did not answer within ${this.deadlineMs} ms`);
    }
    const live = this.#waiting.findIndex(({ settled }) => !settled);
    for (const { bytes } of this.#waiting.splice(0, live === -1 ? this.#waiting.length : live)) {
      this.#waitingBytes -= bytes.length;
    }
  }

  #fail(call: Call<A>, message: string): void {
    this.#settle(call);
    call.reject(new LinkDown(message, call.stream !== null));
  }

  #settle(call: Call<A>): void {
    call.settled = true;
    this.#calls.delete(call.number);
  }
}
