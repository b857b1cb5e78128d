import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 20;

/** Names a process for good: a pid is given again, but not with the same start time. */
export interface ProcessRecord {
  readonly pid: number;
  /** Clock ticks from the start of the machine, as in `/proc/<pid>/stat`. */
  readonly startTicks: number;
}

export type ProcessState = 'running' | 'paused' | 'gone';

/** The process that has this pid now; undefined if there is none. */
export function recordOf(pid: number): ProcessRecord | undefined {
  const stat = readStat(pid);
  return stat && { pid, startTicks: stat.startTicks };
}

/** `gone` also when the pid belongs to another process by now. */
export function stateOf(record: ProcessRecord): ProcessState {
  const stat = readStat(record.pid);
  if (stat === undefined || stat.startTicks !== record.startTicks) return 'gone';
  // A leader that has exited is a zombie while other threads still hold the ports; gone it is with the last of them.
  if ((stat.state === 'Z' || stat.state === 'X') && stat.threads <= 1) return 'gone';
  return stat.state === 'T' || stat.state === 't' ? 'paused' : 'running';
}

/** Sends the signal to exactly the recorded process, or throws. */
export function signalProcess(name: string, record: ProcessRecord, signal: NodeJS.Signals): void {
  const stat = readStat(record.pid);
  if (stat === undefined) throw new Error(`${name} is not running: there is no process ${record.pid}`);
  if (stat.startTicks !== record.startTicks) {
    throw new Error(`${name} is not running: pid ${record.pid} belongs to another process now`);
  }
  process.kill(record.pid, signal);
}

/** Whether it comes to that state within the time: the kernel delivers a signal after it was sent. */
export async function waitForState(record: ProcessRecord, state: ProcessState, withinMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + withinMs;
  while (stateOf(record) !== state) {
    if (performance.now() >= deadlineMs) return false;
    await sleep(POLL_MS);
  }
  return true;
}

export function residentBytes(record: ProcessRecord): number {
  if (stateOf(record) === 'gone') return 0;
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readIfThere(`/proc/${record.pid}/status`) ?? '')?.[1];
  return Number(kilobytes ?? 0) * 1_024;
}

/** Synchronous, so that no signal handler of ours can run between the start of a process and its record. */
export function writeRecord(file: string, record: ProcessRecord): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(record)}\n`);
  renameSync(`${file}.new`, file);
}

export function readRecord(file: string): ProcessRecord | undefined {
  const text = readIfThere(file);
  if (text === undefined) return undefined;
  const value: unknown = JSON.parse(text);
  if (typeof value === 'object' && value !== null && 'pid' in value && 'startTicks' in value) {
    const { pid, startTicks } = value;
    if (isCount(pid) && isCount(startTicks)) return { pid, startTicks };
  }
  throw new Error(`${file} is not the record of a process`);
}

export function removeRecord(file: string): void {
  rmSync(file, { force: true });
}

function readStat(pid: number): { state: string; threads: number; startTicks: number } | undefined {
  const text = readIfThere(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', threads: Number(fields[17]), startTicks: Number(fields[19]) };
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // ESRCH: the process ended between opening and reading its file.
    const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}
