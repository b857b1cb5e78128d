import type { LatencySummary } from '@parley/load';

import type { ConversationReport } from './conversation-replay.js';
import { faultless, type ReplayProgress, type ReplayReport } from './replay.js';

const SHOWN_VIOLATIONS = 20;

const COLUMNS: readonly (readonly [string, (report: ConversationReport) => string | number])[] = [
  ['log', ({ name }) => name],
  ['clients', ({ clients }) => clients],
  ['lines', ({ lines }) => lines],
  ['sent', ({ sent }) => sent],
  ['acked', ({ acknowledged }) => acknowledged],
  ['resent', ({ resent }) => resent],
  ['reconn.', ({ reconnections }) => reconnections],
  ['live', ({ liveEvents }) => liveEvents],
  ['fetched', ({ fetched }) => fetched],
  ['lost', ({ verdict }) => verdict.counts.lost],
  ['dupl.', ({ verdict }) => verdict.counts.duplicated],
  ['reord.', ({ verdict }) => verdict.counts.reordered],
  ['leaked', ({ verdict }) => verdict.counts.leaked],
  ['altered', ({ verdict }) => verdict.counts.altered],
  ['failed', ({ failures }) => failures.length],
];

export function printReport(report: ReplayReport, print: (line: string) => void): void {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...report.conversations.map((one) => COLUMNS.map(([, of]) => String(of(one)))),
  ];
  const widths = COLUMNS.map((_column, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  for (const row of rows) {
    print(row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  '));
  }
  for (const one of report.conversations) {
    const kinds = Object.entries(one.entries).map(([kind, count]) => `${count} ${kind}`);
    print(`${one.name}: ${kinds.join(', ')}; unreachable after leaving: ${one.verdict.unreachable}`);
    print(`  send→ack ${latency(one.sendToAck)}; send→last member ${latency(one.sendToLast)}`);
    for (const { kind, client, seq, what } of one.verdict.violations.slice(0, SHOWN_VIOLATIONS)) {
      print(`  ${kind.toUpperCase()} ${client} at ${seq}: ${what}`);
    }
    for (const failure of one.failures.slice(0, SHOWN_VIOLATIONS)) print(`  FAILED ${failure}`);
    if (!faultless(one) && one.sent !== one.acknowledged)
      print(`  ${one.sent - one.acknowledged} sends were never acknowledged`);
  }
  print(report.ok ? 'Proved: nothing lost, duplicated, reordered, leaked or altered.' : 'NOT proved: see above.');
}

function latency({ p50Ms, p99Ms, maxMs, count }: LatencySummary): string {
  return `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, max ${maxMs.toFixed(1)} ms (${count})`;
}

/** Prints where a run is, at most every two seconds. */
export function progressPrinter(print: (line: string) => void): (progress: ReplayProgress) => void {
  let nextMs = 0;
  return ({ phase, done, total, acknowledged, reconnections }) => {
    const nowMs = performance.now();
    if (nowMs < nextMs && done < total) return;
    nextMs = nowMs + 2_000;
    const more = phase === 'playing' ? `, ${acknowledged} acknowledged, ${reconnections} reconnections` : '';
    print(`${phase}: ${done} of ${total}${more}`);
  };
}
