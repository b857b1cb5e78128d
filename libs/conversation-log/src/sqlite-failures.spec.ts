import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { type ConversationId, seq } from '@parley/contracts';

import { ANN, message, place, Scribe, START } from './conformance-entries.js';
import { openConversationLog } from './index.js';
import { SqliteConversationLog } from './sqlite.js';
import { SOURCE_ARGV } from './worker-lane.js';

const ID = 'c_1' as ConversationId;

describe('the SQLite log when something breaks', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'parley-failures-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('has every acknowledged entry, and no hole, after kill -9 of its process', async () => {
    const child = spawn(process.execPath, [
      '--conditions=@parley/source',
      ...SOURCE_ARGV,
      '--input-type=module',
      '--eval',
      appendForever(directory),
    ]);
    const exited = once(child, 'exit');
    const acknowledged = new Map<string, number>();
    for await (const line of createInterface({ input: child.stdout })) {
      const [conversationId = '', head = ''] = line.split(' ');
      acknowledged.set(conversationId, Number(head));
      if (Number(head) >= 200) child.kill('SIGKILL');
    }
    expect(await exited).toEqual([null, 'SIGKILL']);
    expect(acknowledged.size).toBe(4);
    const log = await SqliteConversationLog.open({ directory });
    for (const [conversationId, head] of acknowledged) {
      const entries = await log.read(conversationId as ConversationId, { after: seq(0), limit: 1_000 });
      expect(entries.length).toBeGreaterThanOrEqual(head);
      expect(entries.map(({ entry }) => entry.seq)).toEqual(entries.map((_, index) => index + 1));
      expect(await log.head(conversationId as ConversationId)).toMatchObject({ seq: entries.length });
    }
    await log.close();
  });

  it('does not open a file that is no database, or a folder that cannot be made', async () => {
    await writeFile(join(directory, 'conversation-log.db'), 'not a database, and long enough to be sure '.repeat(200));
    const unavailable = { code: 'unavailable' };
    await expect(SqliteConversationLog.open({ directory })).rejects.toMatchObject(unavailable);
    const notAFolder = join(directory, 'conversation-log.db', 'inside');
    await expect(SqliteConversationLog.open({ directory: notAFolder })).rejects.toMatchObject(unavailable);
  });

  it('answers unavailable when its pages are garbage, and goes on answering', async () => {
    const before = await SqliteConversationLog.open({ directory });
    await new Scribe(before, ID).write(...Array.from({ length: 500 }, () => message(ANN, 'x'.repeat(500))));
    await before.close();
    const file = await open(join(directory, 'conversation-log.db'), 'r+');
    const { size } = await file.stat();
    await file.write(Buffer.alloc(size - 4_096, 0xee), 0, size - 4_096, 4_096);
    await file.close();
    const log = await SqliteConversationLog.open({ directory });
    const entries = place(ID, START, [message(ANN, '1')]);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(log.read(ID, { after: seq(0), limit: 10 })).rejects.toMatchObject({ code: 'unavailable' });
      await expect(log.append(ID, seq(0), entries)).rejects.toMatchObject({ code: 'unavailable' });
    }
    await log.close();
  });

  it('fails only the append that the store refuses among those committed with it', async () => {
    const log = await SqliteConversationLog.open({ directory });
    const [good, bad] = [ID, 'c_2' as ConversationId].map((id) => place(id, START, [message(ANN, '1')]));
    const refused = (bad ?? []).map((stored) => ({ ...stored, ordinal: 0.5 }));
    const outcomes = await Promise.allSettled([
      log.append(ID, seq(0), good ?? []),
      log.append('c_2' as ConversationId, seq(0), refused),
    ]);
    expect(outcomes).toMatchObject([{ value: { kind: 'appended' } }, { reason: { code: 'unavailable' } }]);
    expect((await log.head('c_2' as ConversationId)).seq).toBe(0);
    await log.close();
  });

  it('refuses appends beyond its bound as overloaded, having written none of them', async () => {
    const log = await SqliteConversationLog.open({ directory, appendQueueMax: 3 });
    const ids = Array.from({ length: 5 }, (_, index) => `c_${index}` as ConversationId);
    const outcomes = await Promise.allSettled(
      ids.map((id) => log.append(id, seq(0), place(id, START, [message(ANN, '1')]))),
    );
    expect(outcomes.map(({ status }) => status)).toEqual([...Array(3).fill('fulfilled'), ...Array(2).fill('rejected')]);
    expect(outcomes[4]).toMatchObject({ reason: { code: 'overloaded' } });
    expect([...(await log.heads(ids)).keys()]).toEqual(ids.slice(0, 3));
    await log.close();
  });

  it('answers unavailable once closed, and can be closed twice', async () => {
    const log = await SqliteConversationLog.open({ directory });
    await log.close();
    await log.close();
    await expect(log.head(ID)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('names the setting when the configuration names an unknown adapter', async () => {
    const config = { adapter: 'memory', directory } as unknown as Parameters<typeof openConversationLog>[0];
    await expect(openConversationLog(config)).rejects.toThrow('conversationLog.adapter');
  });
});

/** A program that appends to four conversations at once and prints what was acknowledged. */
function appendForever(directory: string): string {
  const importing = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);
  return `
    import { openConversationLog } from ${importing('./index.ts')};
    import { writeSync } from 'node:fs';
    const log = await openConversationLog({ adapter: 'sqlite', directory: ${JSON.stringify(directory)} });
    async function write(conversationId) {
      for (let seq = 1; ; seq += 1) {
        const at = { conversationId, seq, id: conversationId + '.' + seq, senderId: 'u', sentAt: new Date().toISOString() };
        const entry = { ...at, kind: 'message', clientId: 'k' + seq, content: { type: 'text', text: 'x'.repeat(300) } };
        await log.append(conversationId, seq - 1, [{ entry, json: JSON.stringify(entry), ordinal: seq, memberSeq: 0 }]);
        writeSync(1, conversationId + ' ' + seq + '\\n');
      }
    }
    await Promise.all(['c_1', 'c_2', 'c_3', 'c_4'].map(write));
  `;
}
