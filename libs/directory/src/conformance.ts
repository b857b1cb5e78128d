import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DEFAULT_WORKSPACE, type WorkspaceId } from '@parley/contracts';

import { accountsConformance } from './conformance-accounts.js';
import {
  at,
  fresh,
  freshWorkspace,
  memberEntry,
  apply,
  newConversation,
  newUser,
  people,
} from './conformance-builders.js';
import { conversationsConformance } from './conformance-conversations.js';
import { positionsConformance } from './conformance-positions.js';
import { projectionConformance } from './conformance-projection.js';
import type { Directory } from './directory.js';

export interface OpenedDirectory {
  readonly directory: Directory;
  /** Ends the directory and opens the same data again, as after a restart. */
  reopen?(): Promise<Directory>;
  close(): Promise<void>;
}

/** Every guarantee of `Directory`. An adapter joins with one line; the suite makes ids of its own in each run. */
export function directoryConformance(name: string, open: () => Promise<OpenedDirectory>): void {
  describe(`Directory on ${name}`, () => {
    let opened: OpenedDirectory;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => {
      await opened.close();
    });
    const directory = (): Directory => opened.directory;

    accountsConformance(directory);
    conversationsConformance(directory);
    projectionConformance(directory);
    positionsConformance(directory);
  });

  describe(`Directory on ${name}, opened and closed`, () => {
    it('has a default workspace', async () => {
      const { directory, close } = await open();
      const created = await directory.createUser(newUser({ workspaceId: DEFAULT_WORKSPACE }), at(0));
      expect(created.kind).toBe('created');
      await close();
    });

    it('keeps everything that had answered', async () => {
      const { directory, reopen, close } = await open();
      if (reopen === undefined) return close();
      const workspaceId: WorkspaceId = freshWorkspace();
      const [ann, bob, cleo] = await people(directory, workspaceId, 3);
      if (ann === undefined || bob === undefined || cleo === undefined) throw new Error('no people');
      const conversation = newConversation(workspaceId, 'group', [ann.id, bob.id]);
      await directory.createConversation(conversation);
      await apply(directory, conversation.id, 0, [memberEntry(conversation.id, 1, 'added', [cleo.id])]);
      const name = fresh('secret');
      const secret = await directory.secret(name, () => 'first');
      const before = await directory.conversation(conversation.id);

      const again = await reopen();
      expect(await again.conversation(conversation.id)).toEqual(before);
      expect(new Set((await again.allMemberships(conversation.id)).map((row) => row.userId))).toEqual(
        new Set([ann.id, bob.id, cleo.id]),
      );
      expect(await again.users(workspaceId, [ann.id])).toEqual(new Map([[ann.id, ann]]));
      expect(await again.secret(name, () => 'second')).toBe(secret);
      await close();
    });

    it('answers `unavailable` once it is closed', async () => {
      const { directory, close } = await open();
      await close();
      await expect(directory.users(DEFAULT_WORKSPACE, [])).rejects.toMatchObject({ code: 'unavailable' });
      await expect(directory.createUser(newUser({ workspaceId: DEFAULT_WORKSPACE }), at(0))).rejects.toMatchObject({
        code: 'unavailable',
      });
    });
  });
}
