import { afterEach, describe, expect, it } from '@jest/globals';

import { WorkerLane } from './worker-lane.js';

interface Calls {
  echo(value: string): string;
  die(): void;
}

/** A worker that answers with what it was asked and the size of the batch, and dies when told to. */
const echo = `import { parentPort } from 'node:worker_threads';
parentPort.postMessage({ kind: 'ready' });
parentPort.on('message', ({ kind, calls }) => {
  if (kind === 'close') return parentPort.close();
  if (calls.some(([method]) => method === 'die')) process.exit(7);
  parentPort.postMessage({ kind: 'results', results: calls.map(([, [value]]) => ({ ok: true, value: value + ' of ' + calls.length })) });
});`;

describe('a worker lane', () => {
  let nowMs = 0;
  let opened: WorkerLane<Calls> | undefined;
  const open = (source: string): Promise<WorkerLane<Calls>> =>
    WorkerLane.open<Calls>({
      program: new URL(`data:text/javascript,${encodeURIComponent(source)}`),
      workerData: null,
      name: 'lane',
      queueMaxCalls: 100,
      queueMaxBytes: 1_000,
      batchMaxBytes: 500,
      restartAfterMs: 1_000,
      nowMs: () => nowMs,
    });
  const openEcho = async (): Promise<WorkerLane<Calls>> => (opened = await open(echo));

  afterEach(async () => {
    await opened?.close();
    opened = undefined;
  });

  it('sends together what was called together, or while the worker was busy', async () => {
    const lane = await openEcho();
    const first = Promise.all([lane.call('echo', ['a']), lane.call('echo', ['b'])]);
    await Promise.resolve();
    const second = Promise.all(['c', 'd', 'e'].map((value) => lane.call('echo', [value])));
    expect(await first).toEqual(['a of 2', 'b of 2']);
    expect(await second).toEqual(['c of 3', 'd of 3', 'e of 3']);
  });

  it('ends a batch at its weight, and refuses what is beyond the weight that may wait', async () => {
    const lane = await openEcho();
    const calls = Array.from({ length: 5 }, (_, index) => lane.call('echo', [`${index}`], 250));
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes).toMatchObject([
      { value: '0 of 2' },
      { value: '1 of 2' },
      { value: '2 of 2' },
      { value: '3 of 2' },
      { reason: { code: 'overloaded' } },
    ]);
  });

  it('fails what a dead worker had and what waited, and starts a new one after the pause', async () => {
    const lane = await openEcho();
    const dying = lane.call('die', []);
    await Promise.resolve();
    const outcomes = await Promise.allSettled([dying, lane.call('echo', ['waiting'])]);
    expect(outcomes).toMatchObject([{ reason: { code: 'unavailable' } }, { reason: { code: 'unavailable' } }]);
    await expect(lane.call('echo', ['too soon'])).rejects.toMatchObject({ code: 'unavailable' });
    nowMs += 1_000;
    expect(await lane.call('echo', ['again'])).toBe('again of 1');
  });

  it('does not open when the worker says that it cannot serve', async () => {
    const failing = `import { parentPort } from 'node:worker_threads'; parentPort.postMessage({ kind: 'failed', message: 'no disk' });`;
    await expect(open(failing)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no disk'),
    });
  });

  it('finishes what waits before it closes', async () => {
    const lane = await openEcho();
    const answer = lane.call('echo', ['last']);
    await Promise.all([lane.close(), lane.close()]);
    expect(await answer).toBe('last of 1');
    await expect(lane.call('echo', ['after'])).rejects.toMatchObject({ code: 'unavailable' });
  });
});
