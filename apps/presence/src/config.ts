import { intSetting } from '@parley/service-kit';
import { z } from 'zod';

export const presenceSettings = z.object({
  /** A person is offline this long after the last sign of life. */
  PARLEY_PRESENCE_OFFLINE_AFTER_MS: intSetting(30_000, 1_000, 3_600_000),
});
export type PresenceConfig = z.output<typeof presenceSettings>;
