import { status, type ServerDuplexStream } from '@grpc/grpc-js';

import type { LinkBounds, LinkLog } from './config.js';
import { fitting, joinItems } from './framing.js';
import { refusalFromMessage } from '../messages/refusals.js';
import { toldRefusal } from './status.js';
import { type Answer, MOVE, type StreamMethod } from './stream-method.js';

export interface ServedStreamPorts<Q, A> {
  readonly method: StreamMethod<Q, A>;
  readonly handle: (request: Q) => Promise<A>;
  readonly bounds: LinkBounds;
  readonly log: LinkLog;
}

/**
 * The serving side of a stream of numbered calls. Calls are started in their order and answered as they end, all that
 * are due when the turn ends in one message. At the bound of running calls, or while the caller reads too slowly, the
 * stream is not read, which in the end makes the caller wait.
 */
export class ServedStream<Q, A> {
  #running = 0;
  #runningBytes = 0;
  #answers: { readonly bytes: Uint8Array }[] = [];
  #flushing = false;
  #blocked = false;
  #asked = false;
  #ended = false;
  #gone = false;

  constructor(
    private readonly raw: ServerDuplexStream<Buffer, Buffer>,
    private readonly ports: ServedStreamPorts<Q, A>,
    private readonly closed: () => void,
  ) {
    raw.on('data', (message: Buffer) => this.#receive(message));
    raw.on('drain', () => {
      this.#blocked = false;
      this.#flushSoon();
    });
    raw.on('end', () => {
      this.#ended = true;
      this.#finish();
    });
    raw.on('cancelled', () => this.#lost());
    raw.on('error', (error: unknown) => {
      ports.log.warn({ err: error, link: ports.method.path }, 'a stream of calls broke');
      this.#lost();
    });
  }

  /** Asks the caller to open another stream and to end this one, which ends when everything on it is answered. */
  askToMove(): void {
    if (this.#asked || this.#ended || this.#gone) return;
    this.#asked = true;
    this.#flush();
    this.raw.write(MOVE);
  }

  #receive(message: Buffer): void {
    const { method, log } = this.ports;
    let calls;
    try {
      calls = method.decodeCalls(message);
    } catch (error) {
      log.error({ err: error, link: method.path }, 'an unreadable message');
      // How grpc-js is told the status that a stream ends with.
      this.raw.emit('error', { code: status.INTERNAL, details: 'an unreadable message' });
      return;
    }
    const share = message.length / Math.max(1, calls.length);
    for (const { call, request } of calls) this.#run(call, request, share);
    if (this.#full) this.raw.pause();
  }

  get #full(): boolean {
    const { runningMax, runningMaxBytes } = this.ports.bounds;
    return this.#running + this.#answers.length >= runningMax || this.#runningBytes >= runningMaxBytes;
  }

  /** `bytes`: its share of the message that it came in. */
  #run(call: number, request: Q, bytes: number): void {
    this.#running += 1;
    this.#runningBytes += bytes;
    const { method, handle, log } = this.ports;
    const refused = (error: unknown): Uint8Array =>
      method.encodeAnswer({ call, ok: false, refusal: refusalFromMessage(toldRefusal(error, method.path, log)) });
    Promise.resolve()
      .then(() => handle(request))
      .then((value) => method.encodeAnswer({ call, ok: true, value } satisfies Answer<A>))
      .catch(refused)
      .then((answer) => this.#answered(answer, bytes))
      .catch((error: unknown) => log.error({ err: error, link: method.path }, 'an answer could not be sent'));
  }

  #answered(answer: Uint8Array, bytes: number): void {
    this.#running -= 1;
    this.#runningBytes = this.#running === 0 ? 0 : this.#runningBytes - bytes;
    if (this.#gone) return;
    this.#answers.push({ bytes: answer });
    this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#flushing || this.#gone) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
      this.#readOn();
      this.#finish();
    });
  }

  #flush(): void {
    const { method, bounds } = this.ports;
    while (this.#answers.length > 0 && !this.#blocked && !this.#gone) {
      const count = method.batched ? fitting(this.#answers, bounds.batchMaxBytes) : 1;
      const items = this.#answers.splice(0, count).map(({ bytes }) => bytes);
      this.#blocked = !this.raw.write(method.batched ? joinItems(items) : Buffer.concat(items));
    }
  }

  #readOn(): void {
    if (this.#full) this.raw.pause();
    else if (this.raw.isPaused()) this.raw.resume();
  }

  #finish(): void {
    if (!this.#ended || this.#gone || this.#running > 0 || this.#answers.length > 0) return;
    this.#gone = true;
    this.raw.end();
    this.closed();
  }

  #lost(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#answers = [];
    this.closed();
  }
}
