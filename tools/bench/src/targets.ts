/** The rows of the targets table for the standalone server, and what each must come to. */
export const TARGETS = {
  'direct-rate': { what: '1:1 durable, highest rate held with p99 delivery < 250 ms', unit: '/s', atLeast: 5_000 },
  'direct-ack': { what: '1:1 at 200/s: ack p50', unit: 'ms', atMost: 1.5 },
  'direct-delivery': { what: '1:1 at 200/s: delivery p99', unit: 'ms', atMost: 4 },
  'room-rate': { what: 'room of 1,000: messages/s held with the last member’s p99 < 1 s', unit: '/s', atLeast: 100 },
  'room-last': { what: 'room of 1,000 at 1/s: last member p50', unit: 'ms', atMost: 25 },
  'big-room-last': { what: 'room of 10,000 at 1/s: last member p99', unit: 'ms', atMost: 120 },
  'delivery-cpu': { what: 'server CPU per 100,000 deliveries (room of 1,000 at 100/s)', unit: 's', atMost: 1.3 },
  'big-room-cpu': { what: 'server CPU per 100,000 deliveries (room of 10,000 at 1/s)', unit: 's', atMost: 1.3 },
  fetch: { what: '1,000 missed messages fetched, p50', unit: 'ms', atMost: 15 },
  'idle-memory': { what: 'memory per idle connection', unit: 'KB', atMost: 12 },
  'hot-rate': { what: 'one hot conversation: entries/s accepted', unit: '/s', atLeast: 5_000 },
  start: { what: 'start to first acknowledged message, median', unit: 's', atMost: 1 },
} as const satisfies Record<string, Target>;

export interface Target {
  readonly what: string;
  readonly unit: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}
export type TargetName = keyof typeof TARGETS;

export interface Figure {
  readonly name: TargetName;
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

/** A figure of a quick run is not the target's: its sizes are smaller and its times too short to be held. */
export type Comparison = 'ok' | 'short' | 'not compared';

export function compare({ name, value }: Figure, comparable: boolean): Comparison {
  if (!comparable && Number.isFinite(value)) return 'not compared';
  return meets(TARGETS[name], value) ? 'ok' : 'short';
}

export function figureLine(figure: Figure, comparable: boolean): string {
  const { name, value, note } = figure;
  const target: Target = TARGETS[name];
  const wanted = target.atLeast === undefined ? `≤ ${target.atMost ?? ''}` : `≥ ${target.atLeast}`;
  const measured = Number.isFinite(value) ? value.toFixed(value < 100 ? 2 : 0) : 'not held at any rate';
  const verdict = { ok: 'ok   ', short: 'SHORT', 'not compared': '–    ' }[compare(figure, comparable)];
  const remark = note === undefined ? '' : `  (${note})`;
  return `${verdict}  ${target.what}: ${measured} ${target.unit}, target ${wanted} ${target.unit}${remark}`;
}
