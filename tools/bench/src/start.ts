import { Account, assign, freePort, RawSession, RestClient, ServerProcess, untilAnswered } from '@parley/load';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pinGenerator, SERVER_CORE } from './cores.js';
import type { Rig } from './rig.js';
import { textOf } from './marker.js';
import type { Figure } from './targets.js';
import { median } from './traffic.js';

/** From the start of the process on no data at all to the first acknowledged message of a new user. */
export async function measureStart(entry: string, rig: Pick<Rig, 'scale' | 'print'>): Promise<Figure[]> {
  const seconds: number[] = [];
  for (let at = 0; at < rig.scale.starts; at += 1) seconds.push(await startOnce(entry));
  rig.print(`  ${seconds.length} starts: ${seconds.map((one) => one.toFixed(2)).join(', ')} s`);
  return [{ name: 'start', value: median(seconds), note: 'two registrations included' }];
}

async function startOnce(entry: string): Promise<number> {
  const dataDir = mkdtempSync(join(tmpdir(), 'parley-bench-start-'));
  const remove = (): void => rmSync(dataDir, { recursive: true, force: true });
  process.once('exit', remove);
  const port = await freePort();
  const startMs = performance.now();
  const server = await ServerProcess.start({
    entry,
    dataDir,
    port,
    ...(pinGenerator('own core') ? { cores: SERVER_CORE } : {}),
  });
  const rest = new RestClient(server.url);
  try {
    const password = 'correct horse battery';
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map((username) => Account.register(rest, { username, password })),
    );
    if (ann === undefined || bob === undefined) throw new RangeError('two accounts are needed');
    const body = { type: 'direct', memberIds: [bob.user.id] };
    const [{ id }, address] = await Promise.all([
      untilAnswered(() => ann.call('createConversation', { body })),
      assign(ann, 'bench'),
    ]);
    const session = await RawSession.open(address, {});
    const content = { type: 'text', text: textOf(0, 0) };
    const json = JSON.stringify({ conversationId: id, clientId: 'first', content });
    const ok = await new Promise<boolean>((resolve) => session.emit('message.send', json, resolve));
    const tookMs = performance.now() - startMs;
    session.close();
    if (!ok) throw new Error('the first message was refused');
    return tookMs / 1_000;
  } finally {
    rest.close();
    await server.stop();
    process.off('exit', remove);
    remove();
  }
}
