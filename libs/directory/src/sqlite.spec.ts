import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ConversationId, seq, type UserId, type WorkspaceId } from '@parley/contracts';

import { directoryConformance } from './conformance.js';
import type { Directory } from './directory.js';
import { openDirectory } from './index.js';
import { ENGINE_LIMITS } from './sqlite-engine.js';
import { openSqliteDirectory } from './sqlite.js';

async function temporary(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-directory-'));
  return { folder, remove: () => rm(folder, { recursive: true }) };
}

directoryConformance('SQLite', async () => {
  const { folder, remove } = await temporary();
  const open = () => openDirectory({ adapter: 'sqlite', directory: folder });
  let current: Directory = await open();
  return {
    directory: current,
    async reopen() {
      await current.close();
      current = await open();
      return current;
    },
    async close() {
      await current.close();
      await remove();
    },
  };
});

describe('the SQLite directory', () => {
  let folder: string;
  let remove: () => Promise<void>;
  beforeAll(async () => {
    ({ folder, remove } = await temporary());
  });
  afterAll(() => remove());

  it('names the setting when the adapter is unknown', async () => {
    const config = { adapter: 'postgres', directory: folder } as unknown as Parameters<typeof openDirectory>[0];
    await expect(openDirectory(config)).rejects.toThrow(/directory\.adapter: unknown adapter 'postgres'/);
  });

  it('answers `unavailable` when the file is not a database', async () => {
    const broken = join(folder, 'broken');
    await mkdir(broken);
    await writeFile(join(broken, 'directory.db'), 'not a database, but long enough to have a header'.repeat(99));
    await expect(openSqliteDirectory(broken)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('can be opened by two at once, and migrates once', async () => {
    const [one, two] = await Promise.all([openSqliteDirectory(folder), openSqliteDirectory(folder)]);
    expect(await two.secret('shared', () => 'x')).toBe('x');
    expect(await one.secret('shared', () => 'y')).toBe('x');
    await Promise.all([one.close(), two.close()]);
  });

  it('refuses what waits beyond its bound, and does the rest', async () => {
    const directory = await openSqliteDirectory(folder, { ...ENGINE_LIMITS, maxWaiting: 10 });
    const touches = await Promise.allSettled(
      Array.from({ length: 50 }, (_, n) => directory.updateUser(`u${n}` as UserId, { displayName: 'x' })),
    );
    const refused = touches.filter((touch) => touch.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(50);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'overloaded' });
    expect(await directory.updateUser('u' as UserId, { displayName: 'x' })).toBeNull();
    await directory.close();
  });

  it('finishes what has begun and refuses what waits when it is closed', async () => {
    const directory = await openSqliteDirectory(folder);
    const settled = Promise.allSettled(
      Array.from({ length: 20 }, (_, n) =>
        directory.createConversation({
          workspaceId: 'w' as WorkspaceId,
          id: `closing-${n}` as ConversationId,
          type: 'group',
          name: null,
          topic: null,
          visibility: 'private',
          history: 'joined',
          createdBy: 'u' as UserId,
          createdAt: new Date(0).toISOString(),
          members: [{ userId: 'u' as UserId, role: 'owner' }],
        }),
      ),
    );
    await directory.close();
    const outcomes = await settled;
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'unavailable' });
    }
    const again = await openSqliteDirectory(folder);
    for (const [n, outcome] of outcomes.entries()) {
      const stored = await again.conversation(`closing-${n}` as ConversationId);
      expect(stored !== null).toBe(outcome.status === 'fulfilled');
    }
    await again.close();
  });

  it('leaves nothing in the file of what was deleted', async () => {
    const directory = await openSqliteDirectory(folder);
    const needle = 'hash-that-must-not-stay';
    await directory.createApiKey({
      id: 'k',
      workspaceId: 'w' as WorkspaceId,
      name: 'key',
      scopes: [],
      userId: 'u' as UserId,
      secretHash: needle,
      createdAt: new Date(seq(0)).toISOString(),
    });
    await directory.revokeApiKey('w' as WorkspaceId, 'k');
    await directory.close();
    expect((await readFile(join(folder, 'directory.db'))).includes(needle)).toBe(false);
  });
});
