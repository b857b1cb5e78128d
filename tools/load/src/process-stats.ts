import { readFile } from 'node:fs/promises';

export interface ProcessStats {
  /** User and system time of all threads. */
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

/** `USER_HZ` of Linux, fixed by its ABI on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time and memory of a live process. Linux only. */
export async function processStats(pid: number): Promise<ProcessStats> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'latin1'),
    readFile(`/proc/${pid}/status`, 'latin1'),
  ]);
  return { cpuSeconds: parseCpuSeconds(stat), rssBytes: parseRssBytes(status) };
}

/** The name of a process may contain anything, brackets and blanks too: fields count from the last `)`. */
export function parseCpuSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function parseRssBytes(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1_024;
}
