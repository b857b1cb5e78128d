import type { Refusal } from '@parley/contracts';

/** What became of a call with a number: its answer, or what the service threw. */
export type Answer<A> =
  | { readonly call: number; readonly ok: true; readonly value: A }
  | { readonly call: number; readonly ok: false; readonly refusal: Refusal };

/** A call under a number, as it arrives at the service. */
export interface Numbered<Q> {
  readonly call: number;
  readonly request: Q;
}

/** Calls of one kind on a stream: how they and their answers stand in its messages. */
export interface StreamMethod<Q, A> {
  readonly path: string;
  /** Whether a message carries many calls; if not, a call is a batch itself and a message is one. */
  readonly batched: boolean;
  encodeCall(call: number, request: Q): Uint8Array;
  decodeCalls(message: Buffer): readonly Numbered<Q>[];
  encodeAnswer(answer: Answer<A>): Uint8Array;
  decodeAnswers(message: Buffer): readonly Answer<A>[];
}

/** An answer without anything: the service asks its caller to move to a new stream and end this one. */
export const MOVE = Buffer.alloc(0);

export const failedOr = <A>(call: number, failed: Refusal | undefined, value: () => A): Answer<A> =>
  failed === undefined ? { call, ok: true, value: value() } : { call, ok: false, refusal: failed };
