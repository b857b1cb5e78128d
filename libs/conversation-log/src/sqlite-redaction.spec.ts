import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { type FSWatcher, watch } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ConversationId } from '@parley/contracts';

import { ANN, edit, message, remove, Scribe } from './conformance-entries.js';
import { SqliteConversationLog } from './sqlite.js';

describe('deleted text in the files of the SQLite log', () => {
  let directory: string;
  let log: SqliteConversationLog;
  let watcher: FSWatcher;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'parley-redaction-'));
    log = await SqliteConversationLog.open({ directory });
    watcher = watch(directory);
  });
  afterEach(async () => {
    watcher.close();
    await log.close();
    await rm(directory, { recursive: true });
  });

  async function filesContaining(text: string): Promise<string[]> {
    const found: string[] = [];
    for (const name of await readdir(directory)) {
      if ((await readFile(join(directory, name))).includes(text)) found.push(name);
    }
    return found;
  }

  /** Looks again whenever a file of the log changed; the test's time limit is the bound. */
  async function untilGone(text: string): Promise<void> {
    for (;;) {
      const changed = once(watcher, 'change');
      if ((await filesContaining(text)).length === 0) return;
      await changed;
    }
  }

  it('is gone from all of them soon after the delete, with the log still open', async () => {
    const scribe = new Scribe(log, 'c_1' as ConversationId);
    await scribe.write(message(ANN, `SECRET ${'long '.repeat(3_000)} SECRET`), message(ANN, 'KEPT'));
    await scribe.write(edit(ANN, 1, 'SECRET too'));
    expect(await filesContaining('SECRET')).not.toEqual([]);
    await scribe.write(remove(ANN, 1), edit(ANN, 1, 'SECRET three'));
    await untilGone('SECRET');
    expect(await filesContaining('KEPT')).not.toEqual([]);
  });

  /** Twenty conversations of 150 messages, then every second deleted, then the rest. */
  async function writeAndDelete(textOf: (conversation: number, round: number) => string): Promise<void> {
    const scribes = Array.from({ length: 20 }, (_, index) => new Scribe(log, `c_${index}` as ConversationId));
    for (let round = 1; round <= 150; round += 1) {
      await Promise.all(scribes.map((scribe, index) => scribe.write(message(ANN, textOf(index, round)))));
    }
    for (const parity of [0, 1]) {
      await Promise.all(
        scribes.map(async (scribe) => {
          for (let seq = 1; seq <= 150; seq += 1) if (seq % 2 === parity) await scribe.write(remove(ANN, seq));
        }),
      );
    }
  }

  it('is gone where rows of all sizes shared pages with other conversations', async () => {
    await writeAndDelete((conversation, round) => `SECRET${'x'.repeat((round * 37 + conversation * 101) % 900)}`);
    await untilGone('SECRET');
  });

  it('is gone where short messages grew by being redacted, among neighbours that kept their text', async () => {
    await writeAndDelete((conversation) => `SECRET${'x'.repeat(conversation)}`);
    await untilGone('SECRET');
  });

  it('is gone after a close that follows the delete at once', async () => {
    const scribe = new Scribe(log, 'c_1' as ConversationId);
    await scribe.write(message(ANN, 'SECRET'));
    await scribe.write(remove(ANN, 1));
    await log.close();
    expect(await filesContaining('SECRET')).toEqual([]);
  });
});
