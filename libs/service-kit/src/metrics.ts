import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Latencies from half a millisecond to ten seconds. */
const LATENCY_BUCKETS_S = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1, 2, 5, 10];

/** One process's metrics. Names start with `parley_`; units stand last, in seconds and bytes, as Prometheus asks. */
export class Metrics {
  readonly registry = new Registry();

  /** Process, garbage collection and event-loop delay figures. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: 10 });
  }

  counter<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return this.#once(name, () => new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] }));
  }

  /** A value that is read when it is asked for. */
  gauge(name: string, help: string, read: () => number): void {
    this.#once(
      name,
      () =>
        new Gauge({
          name,
          help,
          registers: [this.registry],
          collect() {
            this.set(read());
          },
        }),
    );
  }

  gauges<L extends string>(name: string, help: string, label: L, read: () => ReadonlyMap<string, number>): void {
    this.#once(
      name,
      () =>
        new Gauge({
          name,
          help,
          labelNames: [label],
          registers: [this.registry],
          collect() {
            this.reset();
            for (const [key, value] of read()) this.labels(key).set(value);
          },
        }),
    );
  }

  latency<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Histogram<L> {
    return this.histogram(name, help, LATENCY_BUCKETS_S, labelNames);
  }

  histogram<L extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly L[] = [],
  ): Histogram<L> {
    return this.#once(
      name,
      () =>
        new Histogram({
          name,
          help,
          labelNames: [...labelNames],
          buckets: [...buckets],
          registers: [this.registry],
        }),
    );
  }

  #once<T>(name: string, make: () => T): T {
    // Services that are composed in one process may share a metric; the first registration is the metric.
    const existing = this.registry.getSingleMetric(name);
    return existing === undefined ? make() : (existing as T);
  }
}
