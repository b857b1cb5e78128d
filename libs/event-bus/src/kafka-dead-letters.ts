import type { Topic } from '@parley/contracts';

import type { DeadLetter } from './event-bus.js';
import type { WireMessage } from './publish-queue.js';

/** Beside the headers that the record came with, which it gets back when it is replayed. */
const HEADERS = {
  group: 'parley-dead-group',
  error: 'parley-dead-error',
  atMs: 'parley-dead-at',
  partition: 'parley-dead-partition',
  offset: 'parley-dead-offset',
} as const;
const ERROR_MAX = 1_000;

/** A record as a broker gives it: whatever is in it. */
export interface RawMessage {
  readonly offset: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>> | undefined;
}

export interface Death {
  readonly group: string;
  readonly error: string;
  readonly atMs: number;
  readonly partition: number;
}

export function headerOf({ headers }: RawMessage, name: string): string | undefined {
  const value = headers?.[name];
  return value === undefined || Array.isArray(value) ? undefined : value.toString();
}

/** The record as it was, byte for byte, with the story of its death in headers. */
export function toDeadMessage(message: RawMessage, { group, error, atMs, partition }: Death): WireMessage {
  return {
    key: message.key,
    value: message.value,
    headers: {
      ...plainHeaders(message),
      [HEADERS.group]: group,
      [HEADERS.error]: error.slice(0, ERROR_MAX),
      [HEADERS.atMs]: String(atMs),
      [HEADERS.partition]: String(partition),
      [HEADERS.offset]: message.offset,
    },
  };
}

export function toOriginalMessage(message: RawMessage): WireMessage {
  const dead: readonly string[] = Object.values(HEADERS);
  const headers = Object.entries(plainHeaders(message)).filter(([name]) => !dead.includes(name));
  return { key: message.key, value: message.value, headers: Object.fromEntries(headers) };
}

export function fromDeadMessage(topic: Topic, message: RawMessage): DeadLetter {
  return {
    topic,
    group: headerOf(message, HEADERS.group) ?? '',
    key: message.key?.toString() ?? '',
    value: readable(message.value),
    error: headerOf(message, HEADERS.error) ?? '',
    atMs: Number(headerOf(message, HEADERS.atMs) ?? 0),
  };
}

/** Where the record was when it died. */
export function deathOf(message: RawMessage): { readonly partition: number; readonly sourceOffset: string } {
  return {
    partition: Number(headerOf(message, HEADERS.partition) ?? -1),
    sourceOffset: headerOf(message, HEADERS.offset) ?? '',
  };
}

function plainHeaders(message: RawMessage): Record<string, string> {
  return Object.fromEntries(
    Object.keys(message.headers ?? {}).flatMap((name) => {
      const value = headerOf(message, name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** For people: as text where it is no JSON. */
function readable(value: Buffer | null): unknown {
  const text = value?.toString('utf8') ?? null;
  try {
    return text === null ? null : JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
