import { describe, expect, it } from '@jest/globals';

import type { InstanceId, UserId, WorkspaceId } from '@parley/contracts';

import { presenceStoreConformance } from './conformance.js';
import { InProcessPresenceStore } from './in-process.js';
import { openPresenceStore } from './index.js';

presenceStoreConformance('in-process', async (options) => {
  const store = new InProcessPresenceStore(options);
  return { store, close: () => store.close() };
});

describe('the in-process presence store', () => {
  it('forgets the users who left longest ago beyond its bound', async () => {
    const store = new InProcessPresenceStore({ ttlMs: 10, maxRemembered: 2 });
    const workspaceId = 'w' as WorkspaceId;
    const users = ['u_1', 'u_2', 'u_3'] as UserId[];
    for (const [at, userId] of users.entries()) {
      await store.beat('chat-1' as InstanceId, [{ workspaceId, userId, status: 'online' }], at);
    }
    await store.expire(100);
    const seen = await store.get(workspaceId, users, 100);
    expect(seen.map(({ lastSeenMs }) => lastSeenMs)).toEqual([null, 1, 2]);
  });

  it('names the setting when the configuration names an unknown adapter', async () => {
    const config = { adapter: 'crystal-ball', ttlMs: 1 } as unknown as Parameters<typeof openPresenceStore>[0];
    await expect(openPresenceStore(config)).rejects.toThrow('presenceStore.adapter');
  });
});
