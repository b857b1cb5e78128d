/** Buckets per power of two: a recorded value is kept to within 1/512 of itself. */
const STEPS = 512;
/** 2^36 µs is 19 hours; longer is counted as that. */
const POWERS = 36;
const TOP = 2 ** POWERS - 1;

/**
 * A log-linear histogram of durations in milliseconds, kept in whole microseconds: constant memory whatever is
 * recorded, relative error under 0.2 %. The maximum is exact.
 */
export class Histogram {
  readonly #counts = new Uint32Array(STEPS * POWERS);
  #count = 0;
  #max = 0;
  #sum = 0;

  record(milliseconds: number): void {
    const value = Math.min(TOP, Math.max(0, Math.round(milliseconds * 1_000)));
    const bucket = bucketOf(value);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
    this.#sum += milliseconds;
    if (milliseconds > this.#max) this.#max = milliseconds;
  }

  get count(): number {
    return this.#count;
  }

  get max(): number {
    return this.#max;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** The smallest recorded value (to within the error) that at least this share of all values does not exceed. */
  quantile(share: number): number {
    if (this.#count === 0) return 0;
    const wanted = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket += 1) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= wanted) return Math.min(this.#max, topOf(bucket) / 1_000);
    }
    return this.#max;
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      p50Ms: this.quantile(0.5),
      p99Ms: this.quantile(0.99),
      p999Ms: this.quantile(0.999),
      maxMs: this.#max,
    };
  }
}

export interface LatencySummary {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

/** Values under 1,024 µs have a bucket each; from there each doubling is cut into 512 steps. */
function bucketOf(value: number): number {
  if (value < 2 * STEPS) return value;
  const power = Math.floor(Math.log2(value)) - 9;
  return power * STEPS + Math.floor(value / 2 ** power);
}

function topOf(bucket: number): number {
  if (bucket < 2 * STEPS) return bucket;
  const power = Math.floor(bucket / STEPS) - 1;
  return (bucket - power * STEPS + 1) * 2 ** power - 1;
}
