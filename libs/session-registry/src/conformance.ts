import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { DeviceId, InstanceId, SessionId, SessionRecord, UserId, WorkspaceId } from '@parley/contracts';

import type { SessionRegistry } from './session-registry.js';

export interface ConformanceSubject {
  readonly registry: SessionRegistry;
  /** Resolves when this much time has passed for the registry: by its clock where it has one, else by waiting. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

export interface ConformanceLimits {
  readonly ttlMs: number;
  readonly maxSessionsPerUser: number;
}

const LIMITS: ConformanceLimits = { ttlMs: 1_000, maxSessionsPerUser: 3 };

/** What every adapter of the port must do. `open` gives an empty registry with these limits. */
export function sessionRegistryConformance(
  name: string,
  open: (limits: ConformanceLimits) => Promise<ConformanceSubject>,
): void {
  describe(`${name} as a session registry`, () => {
    let subject: ConformanceSubject;
    let registry: SessionRegistry;
    const workspaceId = 'w_1' as WorkspaceId;
    const ann = 'u_ann' as UserId;
    const bob = 'u_bob' as UserId;

    beforeEach(async () => {
      subject = await open(LIMITS);
      registry = subject.registry;
    });
    afterEach(() => subject.close());

    const session = (sessionId: string, more: Partial<SessionRecord> = {}): SessionRecord => ({
      workspaceId,
      userId: ann,
      deviceId: 'd_1' as DeviceId,
      sessionId: sessionId as SessionId,
      serverId: 'chat-1' as InstanceId,
      epoch: 5,
      ...more,
    });
    const idsOf = async (userId: UserId = ann, where: WorkspaceId = workspaceId): Promise<string[]> =>
      ((await registry.lookup(where, [userId])).get(userId) ?? []).map((each) => each.sessionId).sort();

    it('finds registered sessions of many users at once; users without one are absent', async () => {
      const [one, two, three] = [session('s1'), session('s2'), session('s3', { userId: bob })];
      await registry.register([one, two, three]);
      const found = await registry.lookup(workspaceId, [ann, bob, 'u_cat' as UserId]);
      expect(found.get(bob)).toEqual([three]);
      expect(new Set(found.get(ann))).toEqual(new Set([one, two]));
      expect(found.size).toBe(2);
    });

    it('keeps workspaces apart', async () => {
      await registry.register([session('s1')]);
      expect(await idsOf(ann, 'w_2' as WorkspaceId)).toEqual([]);
    });

    it('takes the same session once, however often it is registered', async () => {
      await registry.register([session('s1')]);
      await registry.register([session('s1')]);
      expect(await idsOf()).toEqual(['s1']);
    });

    it('forgets what is removed, by the server that has it only', async () => {
      await registry.register([session('s1'), session('s2')]);
      await registry.remove('chat-2' as InstanceId, [session('s1')]);
      expect(await idsOf()).toEqual(['s1', 's2']);
      await registry.remove('chat-1' as InstanceId, [session('s1'), session('never')]);
      expect(await idsOf()).toEqual(['s2']);
    });

    it('forgets a session that nobody refreshes, and keeps one that somebody does', async () => {
      await registry.register([session('s1'), session('s2')]);
      await subject.advance(LIMITS.ttlMs * 0.6);
      await registry.refresh([session('s2')]);
      await subject.advance(LIMITS.ttlMs * 0.6);
      expect(await idsOf()).toEqual(['s2']);
      await subject.advance(LIMITS.ttlMs * 0.6);
      expect(await idsOf()).toEqual([]);
    });

    it('registers again what had expired when it is refreshed', async () => {
      await registry.register([session('s1')]);
      await subject.advance(LIMITS.ttlMs * 1.2);
      await registry.refresh([session('s1')]);
      expect(await idsOf()).toEqual(['s1']);
    });

    it('does not find sessions of an older epoch once the server registered in a newer one', async () => {
      await registry.register([session('old'), session('other', { serverId: 'chat-2' as InstanceId, epoch: 1 })]);
      await registry.register([session('new', { userId: bob, epoch: 6 })]);
      expect(await idsOf()).toEqual(['other']);
      await registry.register([session('late', { epoch: 5 })]);
      await registry.refresh([session('old', { epoch: 5 })]);
      expect(await idsOf()).toEqual(['other']);
      await registry.refresh([session('old', { epoch: 6 })]);
      expect(await idsOf()).toEqual(['old', 'other']);
    });

    it('keeps the latest sessions of a user who has too many', async () => {
      for (const id of ['s1', 's2', 's3', 's4']) await registry.register([session(id)]);
      await registry.register([session('s5', { userId: bob })]);
      expect(await idsOf()).toEqual(['s2', 's3', 's4']);
      expect(await idsOf(bob)).toEqual(['s5']);
    });

    it('looks up ten thousand users in one call, and refuses more', async () => {
      const users = Array.from({ length: 10_000 }, (_, index) => `u_${index}` as UserId);
      await registry.register(users.map((userId, index) => session(`s_${index}`, { userId })));
      expect((await registry.lookup(workspaceId, users)).size).toBe(10_000);
      await expect(registry.lookup(workspaceId, [...users, ann])).rejects.toThrow(RangeError);
    });
  });
}
