import type { LatencySummary, ProcessStats } from '@parley/load';
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';

import { CORE_COUNT } from './cores.js';
import { byService } from './deployment.js';
import type { TrafficResult } from './traffic.js';

export function latencyText({ p50Ms, p99Ms, p999Ms, maxMs }: LatencySummary): string {
  return [p50Ms, p99Ms, p999Ms, maxMs].map((ms) => ms.toFixed(ms < 10 ? 2 : 0)).join(' / ');
}

/** One measured rate, on one line: latencies are p50 / p99 / p99.9 / max in milliseconds from when a send was due. */
export function trafficLine(result: TrafficResult): string {
  const failed = result.sent - result.acknowledged;
  const missing = result.expected - result.delivered;
  return [
    `${result.ratePerSecond}/s for ${(result.durationMs / 1_000).toFixed(0)} s`,
    `ack ${latencyText(result.ack)}`,
    `delivery ${latencyText(result.delivery)}`,
    `last ${latencyText(result.last)} ms`,
    `${result.delivered} deliveries`,
    failed === 0 && missing === 0
      ? 'no failures'
      : `${failed} FAILED, ${missing < 0 ? `${-missing} DELIVERED TWICE` : `${missing} NOT DELIVERED`}`,
    `server ${processText(result.server)}${processesText(result.processes)}`,
    `generator ${processText(result.generator)}`,
  ].join('; ');
}

export function processText({ cpuSeconds, rssBytes }: ProcessStats): string {
  return `${cpuSeconds.toFixed(2)} s CPU, ${(rssBytes / 1_048_576).toFixed(0)} MiB`;
}

/** Each service and engine, where there is more than one process. */
function processesText(processes: ReadonlyMap<string, ProcessStats>): string {
  if (processes.size < 2) return '';
  return ` (${[...byService(processes)].map(([name, stats]) => `${name} ${processText(stats)}`).join('; ')})`;
}

/** What the figures were taken on. */
export function machine(dataDir: string): Readonly<Record<string, string>> {
  const run = (command: string, args: readonly string[]): string => {
    try {
      return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      return 'unknown'; // a fact for the reader, not needed by a measurement
    }
  };
  return {
    hardware: `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${CORE_COUNT} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    system: `Linux ${release()}, data on ${run('stat', ['-f', '-c', '%T', dataDir])}`,
    versions: `Node ${process.version}, Parley ${run('git', ['describe', '--always', '--dirty'])}`,
    load: 'open loop, arrival times fixed in advance; texts of 200 characters; latencies p50 / p99 / p99.9 / max in ms',
  };
}
