import { intSetting } from '@parley/service-kit';
import { z } from 'zod';

export const deliverySettings = {
  /** Conversations whose members and next position are kept in memory. */
  PARLEY_DELIVERY_CONVERSATIONS_MAX: intSetting(50_000, 100, 10_000_000),
};
const schema = z.object(deliverySettings);
export type DeliveryConfig = z.output<typeof schema>;
