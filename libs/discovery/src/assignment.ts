import type { Instance } from './service-discovery.js';

/** A new server takes this long until it gets its whole share: caches and code are cold, and everyone would go there. */
export const SLOW_START_MS = 30_000;
/** The share that a server starts with. */
const SLOW_START_FLOOR = 0.1;

export interface AssignmentInputs {
  readonly nowMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Clients on their way to a server that its last report does not count yet. */
  readonly onTheWay?: (instance: Instance) => number;
}

interface Candidate {
  readonly instance: Instance;
  /** Capacity as far as slow start lets it count. */
  readonly weight: number;
  readonly load: number;
}

/**
 * The less loaded of two ready chat servers that are drawn at random by their capacity; null when all are full. Two
 * draws are nearly as even as asking all, and do not send a whole burst to the one server that was emptiest when the
 * list was last refreshed.
 */
export function assignChatServer(
  instances: readonly Instance[],
  { nowMs, random, onTheWay = () => 0 }: AssignmentInputs,
): Instance | null {
  const candidates = instances.flatMap((instance) => candidateOf(instance, nowMs, onTheWay(instance)));
  const first = draw(candidates, random);
  if (first === undefined) return null;
  const second = draw(
    candidates.filter((candidate) => candidate !== first),
    random,
  );
  return second !== undefined && second.load < first.load ? second.instance : first.instance;
}

/** A server with room; slow start makes it a rarer choice, but does not make it full. */
function candidateOf(instance: Instance, nowMs: number, onTheWay: number): Candidate[] {
  const { state, capacity = 0, readySinceMs = 0 } = instance;
  const connections = (instance.connections ?? 0) + onTheWay;
  if (state !== 'ready' || connections >= capacity) return [];
  const ramp = Math.min(1, Math.max(SLOW_START_FLOOR, (nowMs - readySinceMs) / SLOW_START_MS));
  const weight = capacity * ramp;
  return [{ instance, weight, load: connections / weight }];
}

function draw(candidates: readonly Candidate[], random: () => number): Candidate | undefined {
  let left = random() * candidates.reduce((sum, { weight }) => sum + weight, 0);
  for (const candidate of candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate;
  }
  return candidates.at(-1);
}
