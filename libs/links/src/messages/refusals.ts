import type { Refusal } from '@parley/contracts';

import type * as wire from '../generated/parley/v1/common.js';
import { errorCodes } from './enums.js';
import { present } from './fields.js';

export function refusalToMessage({ code, message, retryAfterMs, issues }: Refusal): wire.Refusal {
  return {
    code: errorCodes.to(code),
    message,
    // Whole milliseconds: the field is an integer, and a fraction would be refused by the encoder.
    ...present('retryAfterMs', retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs)),
    issues: (issues ?? []).map(({ path, message: what }) => ({ path, message: what })),
  };
}

export function refusalFromMessage({ code, message, retryAfterMs, issues }: wire.Refusal): Refusal {
  return {
    code: errorCodes.from(code),
    message,
    ...present('retryAfterMs', retryAfterMs),
    ...present('issues', issues.length === 0 ? undefined : issues),
  };
}
