import { expect, it } from '@jest/globals';

import { rateLimiterConformance } from './conformance.js';
import { InProcessRateLimiter } from './in-process.js';
import { openRateLimiter } from './index.js';

rateLimiterConformance('in-process', async (config) => new InProcessRateLimiter(config));

it('names the setting when the configuration of a rate limiter names an unknown adapter', async () => {
  const config = { adapter: 'bouncer' } as unknown as Parameters<typeof openRateLimiter>[0];
  await expect(openRateLimiter(config)).rejects.toThrow('rateLimiter.adapter');
});
