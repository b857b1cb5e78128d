import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { InstanceId, PresenceBeat, UserId, WorkspaceId } from '@parley/contracts';

import type { PresenceState, PresenceStore } from './presence-store.js';

export interface ConformanceSubject {
  readonly store: PresenceStore;
  close(): Promise<void>;
}

const TTL_MS = 35_000;
/** Time only moves as the calls say, so that every adapter can be taken through minutes at once. */
const START_MS = Date.parse('2026-01-01T00:00:00.000Z');

/** What every adapter of the port must do. `open` gives an empty store. */
export function presenceStoreConformance(
  name: string,
  open: (options: { readonly ttlMs: number }) => Promise<ConformanceSubject>,
): void {
  describe(`${name} as a presence store`, () => {
    let subject: ConformanceSubject;
    let store: PresenceStore;
    const workspaceId = 'w_1' as WorkspaceId;
    const ann = 'u_ann' as UserId;
    const bob = 'u_bob' as UserId;
    const one = 'chat-1' as InstanceId;
    const two = 'chat-2' as InstanceId;

    beforeEach(async () => {
      subject = await open({ ttlMs: TTL_MS });
      store = subject.store;
    });
    afterEach(() => subject.close());

    const beat = (userId: UserId, status: PresenceBeat['status'] = 'online'): PresenceBeat => ({
      workspaceId,
      userId,
      status,
    });
    const change = (userId: UserId, status: PresenceState['status'], lastSeenMs: number) => ({
      workspaceId,
      userId,
      status,
      lastSeenMs,
    });

    it('has never seen whom no server told of', async () => {
      expect(await store.get(workspaceId, [ann], START_MS)).toEqual([
        { userId: ann, status: 'offline', lastSeenMs: null },
      ]);
      expect(await store.expire(START_MS)).toEqual([]);
    });

    it('answers a change once: by the beat that made it', async () => {
      const first = await store.beat(one, [beat(ann), beat(bob, 'away')], START_MS);
      expect(first).toEqual([change(ann, 'online', START_MS), change(bob, 'away', START_MS)]);
      expect(await store.beat(one, [beat(ann), beat(bob, 'away')], START_MS + 5_000)).toEqual([]);
      expect(await store.beat(two, [beat(ann)], START_MS + 6_000)).toEqual([]);
      expect(await store.beat(one, [beat(bob)], START_MS + 7_000)).toEqual([change(bob, 'online', START_MS + 7_000)]);
      expect(await store.get(workspaceId, [bob, ann], START_MS + 8_000)).toEqual([
        { userId: bob, status: 'online', lastSeenMs: START_MS + 7_000 },
        { userId: ann, status: 'online', lastSeenMs: START_MS + 6_000 },
      ]);
    });

    it('keeps workspaces apart', async () => {
      await store.beat(one, [beat(ann)], START_MS);
      const elsewhere = await store.get('w_2' as WorkspaceId, [ann], START_MS);
      expect(elsewhere).toEqual([{ userId: ann, status: 'offline', lastSeenMs: null }]);
    });

    it('makes nobody offline within the time that a beat holds, so a reconnect is not seen', async () => {
      await store.beat(one, [beat(ann)], START_MS);
      expect(await store.expire(START_MS + TTL_MS - 1)).toEqual([]);
      expect(await store.beat(two, [beat(ann)], START_MS + TTL_MS - 1)).toEqual([]);
      expect(await store.expire(START_MS + TTL_MS + 1)).toEqual([]);
      expect(await store.get(workspaceId, [ann], START_MS + TTL_MS + 1)).toMatchObject([{ status: 'online' }]);
    });

    it('answers whom expiry made offline once, and remembers when they were last seen', async () => {
      await store.beat(one, [beat(ann), beat(bob)], START_MS);
      await store.beat(one, [beat(bob)], START_MS + 10_000);
      const nowMs = START_MS + TTL_MS + 1;
      expect(await store.get(workspaceId, [ann], nowMs)).toMatchObject([{ status: 'offline', lastSeenMs: START_MS }]);
      expect(await store.expire(nowMs)).toEqual([change(ann, 'offline', START_MS)]);
      expect(await store.expire(nowMs)).toEqual([]);
      expect(await store.get(workspaceId, [ann], nowMs + 86_400_000)).toMatchObject([
        { status: 'offline', lastSeenMs: START_MS },
      ]);
      expect(await store.beat(two, [beat(ann)], nowMs)).toEqual([change(ann, 'online', nowMs)]);
    });

    it('divides the changes of an expiry among those who call it at once', async () => {
      const users = Array.from({ length: 100 }, (_, index) => `u_${index}` as UserId);
      await store.beat(
        one,
        users.map((userId) => beat(userId)),
        START_MS,
      );
      const nowMs = START_MS + TTL_MS + 1;
      const answers = await Promise.all([store.expire(nowMs), store.expire(nowMs), store.expire(nowMs)]);
      const told = answers.flat().map(({ userId }) => userId);
      expect(told.toSorted()).toEqual(users.toSorted());
    });

    it('is online while any server says so, and away when only away beats are left', async () => {
      await store.beat(one, [beat(ann)], START_MS);
      expect(await store.beat(two, [beat(ann, 'away')], START_MS + 20_000)).toEqual([]);
      const onlineGone = START_MS + TTL_MS + 1;
      expect(await store.get(workspaceId, [ann], onlineGone)).toMatchObject([{ status: 'away' }]);
      expect(await store.expire(onlineGone)).toEqual([change(ann, 'away', START_MS + 20_000)]);
      const allGone = START_MS + 20_000 + TTL_MS + 1;
      expect(await store.expire(allGone)).toEqual([change(ann, 'offline', START_MS + 20_000)]);
    });

    it('lets the last server that says online take it back', async () => {
      await store.beat(one, [beat(ann)], START_MS);
      await store.beat(two, [beat(ann)], START_MS);
      expect(await store.beat(one, [beat(ann, 'away')], START_MS + 1_000)).toEqual([]);
      const away = await store.beat(two, [beat(ann, 'away')], START_MS + 2_000);
      expect(away).toEqual([change(ann, 'away', START_MS + 2_000)]);
    });
  });
}
