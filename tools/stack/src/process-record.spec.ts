import { afterEach, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type ProcessRecord,
  readRecord,
  recordOf,
  residentBytes,
  signalProcess,
  stateOf,
  waitForState,
  writeRecord,
} from './process-record.js';

let child: ChildProcess | undefined;
afterEach(() => void child?.kill('SIGKILL'));

function startProcess(): ProcessRecord {
  // A name with a space and a parenthesis is what a naive reader of /proc/<pid>/stat trips over.
  child = spawn(process.execPath, ['-e', 'process.title = "a ) b"; console.log("up"); setInterval(() => {}, 1000)'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const record = recordOf(child.pid ?? 0);
  if (record === undefined) throw new Error('it did not start');
  return record;
}

describe('a process on record', () => {
  it('is found by pid and start time, paused and resumed, and gone after its end', async () => {
    const record = startProcess();
    await once(child?.stdout ?? process, 'data');
    expect(recordOf(record.pid)).toEqual(record);
    expect(stateOf(record)).toBe('running');
    expect(residentBytes(record)).toBeGreaterThan(1 << 20);

    signalProcess('it', record, 'SIGSTOP');
    expect(await waitForState(record, 'paused', 10_000)).toBe(true);
    signalProcess('it', record, 'SIGCONT');
    expect(await waitForState(record, 'running', 10_000)).toBe(true);

    signalProcess('it', record, 'SIGKILL');
    expect(await waitForState(record, 'gone', 10_000)).toBe(true);
    expect(() => signalProcess('it', record, 'SIGKILL')).toThrow('it is not running');
  });

  it('is never taken for the one that has its pid now', () => {
    const another = startProcess();
    const record = { ...another, startTicks: another.startTicks - 1 };
    expect(stateOf(record)).toBe('gone');
    expect(residentBytes(record)).toBe(0);
    expect(() => signalProcess('kafka-1', record, 'SIGKILL')).toThrow(
      `kafka-1 is not running: pid ${another.pid} belongs to another process now`,
    );
    expect(stateOf(another)).toBe('running');
  });

  it('is still there when it did not end in time', async () => {
    expect(await waitForState(startProcess(), 'gone', 0)).toBe(false);
  });

  it('is read from its file as it was written, and refused as anything else', () => {
    const folder = mkdtempSync(join(tmpdir(), 'parley-record-'));
    const file = join(folder, 'process.json');
    try {
      expect(readRecord(file)).toBeUndefined();
      writeRecord(file, { pid: 7, startTicks: 8 });
      expect(readRecord(file)).toEqual({ pid: 7, startTicks: 8 });
      writeFileSync(file, '{"pid":-1,"startTicks":8}');
      expect(() => readRecord(file)).toThrow('is not the record of a process');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
