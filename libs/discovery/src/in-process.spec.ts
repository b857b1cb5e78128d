import { expect, it } from '@jest/globals';

import { discoveryConformance } from './conformance.js';
import { InProcessDiscovery } from './in-process.js';
import { openDiscovery } from './index.js';

discoveryConformance('in-process', async () => {
  const discovery = new InProcessDiscovery();
  return { discovery, close: () => discovery.close() };
});

it('names the setting when the configuration of a discovery names an unknown adapter', async () => {
  const config = { adapter: 'smoke-signals' } as unknown as Parameters<typeof openDiscovery>[0];
  await expect(openDiscovery(config)).rejects.toThrow('discovery.adapter');
});
