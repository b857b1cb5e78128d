import { describe, expect, it } from '@jest/globals';

import type { DeviceId, InstanceId, SessionId, UserId, WorkspaceId } from '@parley/contracts';

import { sessionRegistryConformance } from './conformance.js';
import { InProcessSessionRegistry } from './in-process.js';
import { openSessionRegistry } from './index.js';

sessionRegistryConformance('in-process', async (limits) => {
  let nowMs = 0;
  const registry = new InProcessSessionRegistry({ ...limits, nowMs: () => nowMs });
  return {
    registry,
    async advance(ms) {
      nowMs += ms;
    },
    close: () => registry.close(),
  };
});

describe('the in-process session registry', () => {
  it('gives the memory of expired sessions back while others are registered', async () => {
    let nowMs = 0;
    const registry = new InProcessSessionRegistry({ ttlMs: 100, nowMs: () => nowMs });
    const register = (user: string): Promise<void> =>
      registry.register([
        {
          workspaceId: 'w' as WorkspaceId,
          userId: user as UserId,
          deviceId: 'd' as DeviceId,
          sessionId: `s_${user}` as SessionId,
          serverId: 'chat-1' as InstanceId,
          epoch: 1,
        },
      ]);
    for (let user = 0; user < 1_000; user += 1) await register(`gone_${user}`);
    nowMs += 101;
    for (let user = 0; user < 1_000; user += 1) await register(`here_${user}`);
    expect(registry.size).toBeLessThan(1_100);
  });

  it('names the setting when the configuration names an unknown adapter', async () => {
    const config = { adapter: 'paper', ttlMs: 1 } as unknown as Parameters<typeof openSessionRegistry>[0];
    await expect(openSessionRegistry(config)).rejects.toThrow('sessionRegistry.adapter');
  });
});
