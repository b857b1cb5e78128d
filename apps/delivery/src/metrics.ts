import type { Metrics } from '@parley/service-kit';

export function deliveryMetrics(metrics: Metrics) {
  return {
    entries: metrics.counter('parley_delivery_entries_total', 'Entries fanned out', ['fanout']),
    gaps: metrics.counter('parley_delivery_gaps_total', 'Gaps in a conversation that were read from the log'),
    repeated: metrics.counter('parley_delivery_repeated_total', 'Entries that came again and were left out'),
    drops: metrics.counter('parley_delivery_drops_total', 'Pushes that did not reach their chat server', ['reason']),
    inbox: metrics.counter('parley_delivery_inbox_total', 'Inbox records for people without a live session'),
    fanoutSeconds: metrics.latency('parley_delivery_fanout_seconds', 'From acceptance to hand-over to chat servers'),
  };
}
export type DeliveryMetrics = ReturnType<typeof deliveryMetrics>;
