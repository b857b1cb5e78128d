import { describe, expect, it } from '@jest/globals';

import type { ConversationId } from '@parley/contracts';

import { headCacheConformance, update } from './conformance.js';
import { InProcessHeadCache } from './in-process.js';
import { openHeadCache } from './index.js';

headCacheConformance('in-process', async (bounds) => {
  let nowMs = 0;
  const cache = new InProcessHeadCache({ ...bounds, nowMs: () => nowMs });
  return {
    cache,
    async advance(ms) {
      nowMs += ms;
    },
    close: () => cache.close(),
  };
});

describe('the in-process head cache', () => {
  it('forgets the conversations that were updated longest ago beyond its bound', async () => {
    const cache = new InProcessHeadCache({ conversationsMax: 2 });
    const ids = ['c_1', 'c_2', 'c_3'] as ConversationId[];
    for (const id of ids) await cache.put([update(1, [{ kind: 'message', text: 'a' }], id)]);
    expect([...(await cache.heads(ids)).keys()]).toEqual(['c_2', 'c_3']);
  });

  it('names the setting when the configuration names an unknown adapter', async () => {
    const config = { adapter: 'elephant' } as unknown as Parameters<typeof openHeadCache>[0];
    await expect(openHeadCache(config)).rejects.toThrow('headCache.adapter');
  });
});
