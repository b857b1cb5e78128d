#!/usr/bin/env node
import { setTimeout as sleep } from 'node:timers/promises';

import { Command } from 'commander';

import { Cluster, type Service } from './cluster.js';
import { enginesFrom } from './engines.js';
import { logPrinter } from './log-printer.js';
import { SteadyTalk, type TalkReport } from './steady-talk.js';

const SECOND_MS = 1_000;

const options = new Command('cluster-scale-out')
  .description('Steady load while routing and chat are scaled out and in again; what every client saw decides')
  .option('--stack <name>', 'the stack that it uses, which must run', 'default')
  .option('--conversations <count>', 'groups of four', Number, 50)
  .option('--rate <per second>', 'sends, open loop', Number, 50)
  .option('--stage <seconds>', 'between one change and the next', Number, 8)
  .option('--show-services', "print the services' own output", false)
  .parse()
  .opts<{ stack: string; conversations: number; rate: number; stage: number; showServices: boolean }>();

/** Two who write, and one for each chat server that comes later: sessions that are there stay where they are. */
const MEMBERS = 4;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const cluster = await Cluster.start({
  engines: await enginesFrom(options.stack),
  counts: { gateway: 1, chat: 1, routing: 1, delivery: 1, presence: 1, 'push-notification': 1 },
  env: { PARLEY_RATE_LIMITS: 'off', PARLEY_LOG_LEVEL: 'warn' },
  onLine: options.showServices ? logPrinter((text) => void process.stdout.write(text), false) : () => undefined,
});
let report: TalkReport | undefined;
try {
  report = await run();
} finally {
  await cluster.stop();
}
process.exit(report !== undefined && isFlawless(report) ? 0 : 1);

async function run(): Promise<TalkReport> {
  const { conversations, rate: ratePerSecond } = options;
  const talk = await SteadyTalk.prepare({
    url: cluster.urls[0] ?? '',
    ...{ conversations, members: MEMBERS, ratePerSecond },
  });
  const ending = new AbortController();
  try {
    await talk.connect(0, 2);
    print(`${conversations} groups of ${MEMBERS}, ${ratePerSecond} sends/s in all, open loop`);
    print('second   sent  acked  ack p99 ms  failed  routing  sessions by chat server');
    talk.talk(ratePerSecond);
    const timeline = printTimeline(talk, ending.signal);
    const say = (what: string): void => print(`         -- ${what}`);
    await stage();
    for (const count of [2, 3, 2]) {
      say(`routing: ${count}`);
      await cluster.scale('routing', count);
      await stage();
    }
    for (const count of [2, 3]) {
      say(`chat: ${count}, then ${conversations} new sessions`);
      await cluster.scale('chat', count);
      await talk.connect(count, count + 1);
      await stage();
    }
    say('chat-1 drains (SIGTERM)');
    await cluster.named('chat-1').stop();
    say('chat-1 has ended');
    await stage();
    say('no more sends; everybody catches up and reads all of it again');
    ending.abort();
    await timeline;
    const result = await talk.finish();
    printReport(result);
    return result;
  } finally {
    ending.abort();
    talk.close();
  }
}

function stage(): Promise<void> {
  return sleep(options.stage * SECOND_MS);
}

async function printTimeline(talk: SteadyTalk, ending: AbortSignal): Promise<void> {
  const startMs = performance.now();
  for (let second = 1; !ending.aborted; second += 1) {
    await sleep(Math.max(0, startMs + second * SECOND_MS - performance.now()));
    const { sent, acknowledged, ackP99Ms, failed } = talk.second();
    const cells = [second, sent, acknowledged, ackP99Ms.toFixed(0), failed, running('routing').length];
    const widths = [6, 5, 5, 10, 6, 7];
    const row = cells.map((cell, at) => String(cell).padStart(widths[at] ?? 0)).join('  ');
    print(`${row}  ${await sessions()}`);
  }
}

function running(service: Service) {
  return cluster.of(service).filter((process) => process.running);
}

/** As each says it; one that does not answer in time is on its way up or down. */
async function sessions(): Promise<string> {
  const counts = await Promise.all(
    running('chat').map(async ({ name, ready }) => {
      const line = await Promise.race([ready, sleep(SECOND_MS / 4)]);
      if (line === undefined) return `${name} starting`;
      try {
        const signal = AbortSignal.timeout(SECOND_MS / 2);
        const answer = await fetch(`http://127.0.0.1:${line.internalPort}/metrics`, { signal });
        return `${name} ${/^parley_chat_connections (\d+)$/m.exec(await answer.text())?.[1] ?? '?'}`;
      } catch {
        return `${name} ?`;
      }
    }),
  );
  return counts.join('  ');
}

function violationsOf({ verdicts }: TalkReport): number {
  return verdicts.reduce((sum, { counts }) => sum + Object.values(counts).reduce((all, one) => all + one, 0), 0);
}

function isFlawless(of: TalkReport): boolean {
  return of.failures.length === 0 && violationsOf(of) === 0;
}

function printReport(of: TalkReport): void {
  print(
    `${of.acknowledged} acknowledged, ${of.resent} sent again, ${of.reconnections} reconnections; ` +
      `${of.failures.length} failures seen by clients; ` +
      `${violationsOf(of)} lost, duplicated, reordered, leaked or altered`,
  );
  for (const failure of of.failures.slice(0, 10)) print(`  ${failure}`);
  for (const { client, seq, kind, what } of of.verdicts.flatMap(({ violations }) => violations).slice(0, 10)) {
    print(`  ${kind}: ${client} at ${seq}: ${what}`);
  }
  print(isFlawless(of) ? 'ok' : 'NOT OK');
}
