import { intSetting } from '@parley/service-kit';
import { z } from 'zod';

export const deliverySettings = z.object({
  /** Conversations whose members and next position are kept in memory. */
  PARLEY_DELIVERY_CONVERSATIONS_MAX: intSetting(50_000, 100, 10_000_000),
});
export type DeliveryConfig = z.output<typeof deliverySettings>;
