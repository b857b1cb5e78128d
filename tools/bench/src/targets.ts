import type { DeploymentName } from './deployment.js';

/** The rows of the targets table, and what each must come to on the standalone server and on a cluster. */
export const TARGETS = {
  'direct-rate': {
    what: '1:1 durable, highest rate held with p99 delivery < 250 ms',
    unit: '/s',
    ...{ standalone: { atLeast: 5_000 }, cluster: { atLeast: 2_000 } },
  },
  'direct-ack': {
    what: '1:1 at 200/s: ack p50',
    unit: 'ms',
    ...{ standalone: { atMost: 1.5 }, cluster: { atMost: 8 } },
  },
  'direct-delivery': {
    what: '1:1 at 200/s: delivery p99',
    unit: 'ms',
    ...{ standalone: { atMost: 4 }, cluster: { atMost: 30 } },
  },
  'room-rate': {
    what: 'room of 1,000: messages/s held with the last member’s p99 < 1 s',
    unit: '/s',
    ...{ standalone: { atLeast: 100 }, cluster: { atLeast: 50 } },
  },
  'room-last': {
    what: 'room of 1,000 at 1/s: last member p50',
    unit: 'ms',
    ...{ standalone: { atMost: 25 }, cluster: { atMost: 40 } },
  },
  'big-room-last': {
    what: 'room of 10,000 at 1/s: last member p99',
    unit: 'ms',
    ...{ standalone: { atMost: 120 }, cluster: { atMost: 250 } },
  },
  'delivery-cpu': {
    what: 'CPU per 100,000 deliveries, room of 1,000 (cluster: of chat, delivery, gateway, Redis)',
    unit: 's',
    ...{ standalone: { atMost: 1.3 }, cluster: { atMost: 2 } },
  },
  'big-room-cpu': {
    what: 'CPU per 100,000 deliveries, room of 10,000 at 1/s (of the same)',
    unit: 's',
    ...{ standalone: { atMost: 1.3 }, cluster: { atMost: 2 } },
  },
  fetch: {
    what: '1,000 missed messages fetched, p50',
    unit: 'ms',
    ...{ standalone: { atMost: 15 }, cluster: { atMost: 30 } },
  },
  'idle-memory': {
    what: 'memory per idle connection (cluster: chat and gateway)',
    unit: 'KB',
    ...{ standalone: { atMost: 12 }, cluster: { atMost: 12 } },
  },
  'hot-rate': {
    what: 'one hot conversation: entries/s accepted',
    unit: '/s',
    ...{ standalone: { atLeast: 5_000 }, cluster: { atLeast: 5_000 } },
  },
  start: { what: 'start to first acknowledged message, median', unit: 's', standalone: { atMost: 1 } },
} as const satisfies Record<string, Row>;

interface Row extends Partial<Record<DeploymentName, Target>> {
  readonly what: string;
  readonly unit: string;
}
export interface Target {
  readonly atLeast?: number;
  readonly atMost?: number;
}
export type TargetName = keyof typeof TARGETS;

export interface Figure {
  readonly name: TargetName;
  /** Not a number: it could not be had. */
  readonly value: number;
  /** How it came about, where that differs from what the target says. */
  readonly note?: string;
}

export function meets(target: Target, value: number): boolean {
  return (
    Number.isFinite(value) &&
    (target.atLeast === undefined || value >= target.atLeast) &&
    (target.atMost === undefined || value <= target.atMost)
  );
}

/** A figure as it was measured on one deployment. */
export interface Measured extends Figure {
  readonly on: DeploymentName;
}

export function targetOf({ name, on }: Pick<Measured, 'name' | 'on'>): Target {
  const row: Row = TARGETS[name];
  return row[on] ?? {};
}

/** A figure of a quick run is not the target's: its sizes are smaller and its times too short to be held. */
export type Comparison = 'ok' | 'short' | 'not compared';

export function compare(figure: Measured, comparable: boolean): Comparison {
  if (!comparable && Number.isFinite(figure.value)) return 'not compared';
  return meets(targetOf(figure), figure.value) ? 'ok' : 'short';
}

export function figureLine(figure: Measured, comparable: boolean): string {
  const { name, value, note, on } = figure;
  const { what, unit } = TARGETS[name];
  const { atLeast, atMost } = targetOf(figure);
  const wanted = atLeast === undefined ? `≤ ${atMost ?? ''}` : `≥ ${atLeast}`;
  const measured = Number.isFinite(value) ? value.toFixed(value < 100 ? 2 : 0) : 'not held at any rate';
  const verdict = { ok: 'ok   ', short: 'SHORT', 'not compared': '–    ' }[compare(figure, comparable)];
  const remark = note === undefined ? '' : `  (${note})`;
  return `${verdict}  ${on.padEnd(10)}  ${what}: ${measured} ${unit}, target ${wanted} ${unit}${remark}`;
}
