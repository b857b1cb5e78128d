import type { Metrics } from '@parley/service-kit';

export function routingMetrics(metrics: Metrics) {
  return {
    entries: metrics.counter('parley_routing_entries_total', 'Entries appended to conversation logs', ['kind']),
    duplicates: metrics.counter('parley_routing_duplicates_total', 'Resends answered with the first message'),
    refused: metrics.counter('parley_routing_refused_total', 'Commands refused', ['code']),
    conflicts: metrics.counter('parley_routing_conflicts_total', 'Appends that lost the race for the head'),
    appendSeconds: metrics.latency('parley_routing_accept_seconds', 'From command to durable append or refusal'),
    batchEntries: metrics.histogram(
      'parley_routing_batch_entries',
      'Entries in one append',
      [1, 2, 5, 10, 20, 50, 100, 200, 500],
    ),
    direct: metrics.counter(
      'parley_routing_direct_total',
      'Entries given to delivery by a call because the bus was away, by what became of the call',
      ['outcome'],
    ),
    publishFailures: metrics.counter('parley_routing_publish_failures_total', 'Batches the bus did not take at once'),
  };
}
export type RoutingMetrics = ReturnType<typeof routingMetrics>;
