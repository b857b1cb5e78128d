import { intSetting, switchSetting } from '@parley/service-kit';
import { z } from 'zod';

export const chatSettings = z.object({
  /** Sessions that one chat server takes; beyond, the assignment goes elsewhere or is refused. */
  PARLEY_CHAT_CAPACITY: intSetting(50_000, 1, 1_000_000),
  /** Bytes that may wait for one slow reader before it is cut off. */
  PARLEY_SESSION_BUFFER_MAX_BYTES: intSetting(4 * 1024 * 1024, 64 * 1024, 1 << 30),
  /** A connection without a ticket is closed after this. */
  PARLEY_CONNECT_TIMEOUT_MS: intSetting(5_000, 100, 60_000),
  PARLEY_PING_INTERVAL_MS: intSetting(10_000, 1_000, 300_000),
  /** Without a pong for this long after a ping the session is dead. */
  PARLEY_PING_TIMEOUT_MS: intSetting(20_000, 1_000, 300_000),
  /** `off` for load tests. */
  PARLEY_RATE_LIMITS: switchSetting('on'),
  PARLEY_SENDS_PER_SECOND: intSetting(50, 1, 1_000_000),
  PARLEY_SENDS_BURST: intSetting(500, 1, 1_000_000),
  /** All other socket requests of one user. */
  PARLEY_EVENTS_PER_SECOND: intSetting(100, 1, 1_000_000),
  PARLEY_EVENTS_BURST: intSetting(1_000, 1, 1_000_000),
  /** As the presence service has it: signs of life come often enough for it. */
  PARLEY_PRESENCE_OFFLINE_AFTER_MS: intSetting(30_000, 1_000, 3_600_000),
  /** Without a request for this long a connected person is `away`. */
  PARLEY_AWAY_AFTER_MS: intSetting(300_000, 1_000, 86_400_000),
  /** Clients told to reconnect per second while draining. */
  PARLEY_DRAIN_PER_SECOND: intSetting(500, 1, 100_000),
  /** Event-loop delay at which lossy events (presence, typing, receipts) are shed. */
  PARLEY_SHED_LOSSY_AT_MS: intSetting(150, 10, 60_000),
  /** Event-loop delay at which new connections are refused with a time to retry. */
  PARLEY_SHED_CONNECTIONS_AT_MS: intSetting(500, 10, 60_000),
  /** Event-loop delay at which sends are refused with `overloaded`. */
  PARLEY_SHED_SENDS_AT_MS: intSetting(2_000, 10, 60_000),
});
export type ChatConfig = z.output<typeof chatSettings>;
