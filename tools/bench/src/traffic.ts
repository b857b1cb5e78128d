import { Histogram, type LatencySummary, openLoop, type ProcessStats, type RawSession } from '@parley/load';
import { setTimeout as sleep } from 'node:timers/promises';

import { statsOf, total, usedBetween } from './deployment.js';
import { markerOf, textOf } from './marker.js';

/** Who sends a message, where, and how many sessions must receive it. */
export interface Sender {
  readonly session: RawSession;
  readonly conversationId: string;
  readonly receivers: number;
}

export interface Load {
  readonly ratePerSecond: number;
  readonly durationMs: number;
  /** After the last arrival: what has not come by then has failed. */
  readonly graceMs: number;
  readonly senderOf: (index: number) => Sender;
  /** The generator shares its cores with the server, and leaves them alone while it waits. */
  readonly sparing?: boolean;
  /** Of the server, by name. */
  readonly processes: ReadonlyMap<string, number>;
}

export interface TrafficResult {
  readonly ratePerSecond: number;
  readonly durationMs: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly expected: number;
  readonly delivered: number;
  /** All from the time at which the message was due to be sent. */
  readonly ack: LatencySummary;
  readonly delivery: LatencySummary;
  /** When the last of a message's receivers had it. */
  readonly last: LatencySummary;
  /** All processes of the server. */
  readonly server: ProcessStats;
  /** Each of them. */
  readonly processes: ReadonlyMap<string, ProcessStats>;
  readonly generator: ProcessStats;
}

const POLL_MS = 5;
const GENERATOR = 'generator';

/**
 * Sends at a fixed rate through open sessions and watches what comes back. The sessions' events must be handed to
 * `onEvent`; a run knows its own messages by a marker in their text.
 */
export class Traffic {
  #run = 0;
  #current: Run | undefined;

  readonly onEvent = (frame: Buffer, start: number, end: number): void => {
    const run = this.#current;
    if (run === undefined) return;
    const index = markerOf(frame, start, end, run.id);
    if (index >= 0) run.delivered(index, performance.now());
  };

  async measure(load: Load): Promise<TrafficResult> {
    this.#run += 1;
    const run = new Run(this.#run, Math.round((load.ratePerSecond * load.durationMs) / 1_000));
    this.#current = run;
    const watched = new Map([...load.processes, [GENERATOR, process.pid]]);
    const before = await statsOf(watched);
    const sent = await openLoop({
      ratePerSecond: load.ratePerSecond,
      durationMs: load.durationMs,
      sparing: load.sparing ?? false,
      fire: (index, dueMs) => run.send(index, dueMs, load.senderOf(index)),
    });
    const deadline = performance.now() + load.graceMs;
    while (!run.complete(sent) && performance.now() < deadline) await sleep(POLL_MS);
    const used = usedBetween(before, await statsOf(watched));
    const processes = new Map([...used].filter(([name]) => name !== GENERATOR));
    this.#current = undefined;
    return {
      ratePerSecond: load.ratePerSecond,
      durationMs: load.durationMs,
      sent,
      ...run.result(),
      server: total(processes),
      processes,
      generator: total(used, (name) => name === GENERATOR),
    };
  }
}

class Run {
  readonly id: number;
  readonly #due: Float64Array;
  readonly #missing: Int32Array;
  readonly #ack = new Histogram();
  readonly #delivery = new Histogram();
  readonly #last = new Histogram();
  #answered = 0;
  #expected = 0;
  #delivered = 0;

  constructor(id: number, messages: number) {
    this.id = id;
    this.#due = new Float64Array(messages);
    this.#missing = new Int32Array(messages);
  }

  send(index: number, dueMs: number, { session, conversationId, receivers }: Sender): void {
    this.#due[index] = dueMs;
    this.#missing[index] = receivers;
    this.#expected += receivers;
    const text = textOf(this.id, index);
    const clientId = `${this.id}-${index}-${Math.floor(dueMs)}`;
    const json = `{"conversationId":"${conversationId}","clientId":"${clientId}","content":{"type":"text","text":"${text}"}}`;
    session.emit('message.send', json, (ok) => {
      this.#answered += 1;
      if (ok) this.#ack.record(performance.now() - dueMs);
    });
  }

  delivered(index: number, nowMs: number): void {
    const latencyMs = nowMs - (this.#due[index] ?? nowMs);
    this.#delivered += 1;
    this.#delivery.record(latencyMs);
    const missing = (this.#missing[index] ?? 0) - 1;
    this.#missing[index] = missing;
    if (missing === 0) this.#last.record(latencyMs);
  }

  complete(sent: number): boolean {
    return this.#answered >= sent && this.#delivered >= this.#expected;
  }

  result(): Pick<TrafficResult, 'acknowledged' | 'expected' | 'delivered' | 'ack' | 'delivery' | 'last'> {
    return {
      acknowledged: this.#ack.count,
      expected: this.#expected,
      delivered: this.#delivered,
      ack: this.#ack.summary(),
      delivery: this.#delivery.summary(),
      last: this.#last.summary(),
    };
  }
}

/** Everything was acknowledged and reached everybody, and the slowest hundredth took less than the bound. */
export function held(
  result: TrafficResult,
  bound: { readonly of: 'ack' | 'delivery' | 'last'; readonly p99Ms: number },
): boolean {
  return (
    result.acknowledged === result.sent && result.delivered === result.expected && result[bound.of].p99Ms < bound.p99Ms
  );
}

/** Tries rates upwards; ends after the first that is not held twice. Answers the highest held, or nothing. */
export async function highestHeld(
  rates: readonly number[],
  measure: (ratePerSecond: number) => Promise<TrafficResult>,
  isHeld: (result: TrafficResult) => boolean,
): Promise<TrafficResult | undefined> {
  let best: TrafficResult | undefined;
  for (const rate of rates) {
    // The machine is shared: one bad run at a rate may be somebody else's.
    let result = await measure(rate);
    if (!isHeld(result)) result = await measure(rate);
    if (!isHeld(result)) break;
    best = result;
  }
  return best;
}

/** What a reader of the highest rate has to know: whether there was a higher one that failed. */
export function rateNote(best: TrafficResult | undefined, rates: readonly number[], note: string): string {
  return best !== undefined && best.ratePerSecond === rates.at(-1) ? `${note}; no higher rate was tried` : note;
}

/** Of the processes that deliver. */
export function cpuPer100kDeliveries(
  { processes, delivered }: Pick<TrafficResult, 'processes' | 'delivered'>,
  delivers: (process: string) => boolean,
): number {
  return delivered === 0 ? Number.NaN : (total(processes, delivers).cpuSeconds / delivered) * 100_000;
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
