import { expect, it } from '@jest/globals';

import { frameBusConformance } from './conformance.js';
import { InProcessFrameBus } from './in-process.js';
import { openFrameBus } from './index.js';

frameBusConformance('in-process', async () => {
  const bus = new InProcessFrameBus();
  return { bus, close: () => bus.close() };
});

it('names the setting when the configuration of a frame bus names an unknown adapter', async () => {
  const config = { adapter: 'string-and-cans' } as unknown as Parameters<typeof openFrameBus>[0];
  await expect(openFrameBus(config)).rejects.toThrow('frameBus.adapter');
});
