import type { Clock, Metrics } from '@parley/service-kit';

export function chatMetrics(metrics: Metrics, clock: Clock) {
  const deliveries = metrics.counter('parley_chat_deliveries_total', 'Frames handed to sessions');
  const deliverySeconds = metrics.latency(
    'parley_chat_delivery_seconds',
    'From the door that accepted an entry to the hand-over to the sessions of one server',
  );
  return {
    requests: metrics.counter('parley_chat_requests_total', 'Socket requests by event and outcome', [
      'event',
      'outcome',
    ]),
    ackSeconds: metrics.latency('parley_chat_ack_seconds', 'From a request to its acknowledgement', ['event']),
    drops: metrics.counter('parley_chat_drops_total', 'Frames that were not delivered, by reason', ['reason']),
    closes: metrics.counter('parley_chat_closes_total', 'Sessions closed by the server, by code', ['code']),
    handshakes: metrics.counter('parley_chat_handshakes_total', 'Sessions opened or refused', ['outcome']),
    /** One observation a push, not one a frame: a room of 10,000 costs as much as a room of two. */
    delivered(frames: number, receivedAtMs: number): void {
      deliveries.inc(frames);
      if (receivedAtMs > 0) deliverySeconds.observe(Math.max(0, clock.now() - receivedAtMs) / 1_000);
    },
  };
}
export type ChatMetrics = ReturnType<typeof chatMetrics>;
