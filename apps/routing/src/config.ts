import { intSetting, switchSetting } from '@parley/service-kit';
import { z } from 'zod';

export const routingSettings = z.object({
  /** Custom content types that messages may have, separated by commas. */
  PARLEY_CONTENT_TYPES: z
    .string()
    .default('custom')
    .transform((names) =>
      names
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== ''),
    ),
  /** Members of a group; larger circles are channels. */
  PARLEY_GROUP_MEMBERS_MAX: intSetting(100, 2, 1_000),
  /** Commands waiting for one conversation before senders are told `overloaded`. */
  PARLEY_CONVERSATION_QUEUE_MAX: intSetting(10_000, 1, 1_000_000),
  /** `off` for load tests. */
  PARLEY_RATE_LIMITS: switchSetting('on'),
  /** What one conversation takes, from everybody. */
  PARLEY_CONVERSATION_SENDS_PER_SECOND: intSetting(500, 1, 1_000_000),
  PARLEY_CONVERSATION_SENDS_BURST: intSetting(2_000, 1, 1_000_000),
  /** Conversations kept in memory by one instance. */
  PARLEY_ROUTING_CONVERSATIONS_MAX: intSetting(50_000, 100, 10_000_000),
});
export type RoutingConfig = z.output<typeof routingSettings>;
