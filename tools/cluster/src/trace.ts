#!/usr/bin/env node
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { Account, assign, RawSession, RestClient, type SessionAddress, untilAnswered } from '@parley/load';
import { Command } from 'commander';

import { Cluster } from './cluster.js';
import { enginesFrom } from './engines.js';
import { logPrinter } from './log-printer.js';
import { type Span, SpanReceiver } from './spans.js';

/** What is compiled and cached by then is not a message's. */
const WARM_MESSAGES = 200;
/** What one message shows may be the machine's; the one in the middle of these is shown. */
const MESSAGES = 21;
const POLL_MS = 50;
const COLLECT_WITHIN_MS = 10_000;
const MESSAGE_EVENT = '42["message.new"';
/** The last step of a message on its way to a person. */
const LAST = 'deliver to sessions';

const options = new Command('cluster-trace')
  .description('One message between people on different chat servers, hop by hop: over the socket, then over REST')
  .option('--stack <name>', 'the stack that it uses, which must run', 'default')
  .option('--show-services', "print the services' own output", false)
  .parse()
  .opts<{ stack: string; showServices: boolean }>();

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const receiver = await SpanReceiver.start();
const cluster = await Cluster.start({
  engines: await enginesFrom(options.stack),
  counts: { gateway: 1, chat: 2, routing: 1, delivery: 1, presence: 1, 'push-notification': 1 },
  env: { ...receiver.environment, PARLEY_RATE_LIMITS: 'off', PARLEY_LOG_LEVEL: 'warn' },
  onLine: options.showServices ? logPrinter((text) => void process.stdout.write(text), false) : () => undefined,
});
const rest = new RestClient(cluster.urls[0] ?? '');
let complete = false;
try {
  const [ann, bob] = await Promise.all([register('ann'), register('bob')]);
  const annAt = await assign(ann, 'trace');
  const bobAt = await elsewhere(bob, annAt);
  let heard: (atMs: number) => void = () => undefined;
  const bobs = await RawSession.open(bobAt, {
    onEvent: (frame, start, end) => {
      if (frame.subarray(start, end).includes(MESSAGE_EVENT)) heard(performance.now());
    },
  });
  const anns = await RawSession.open(annAt, {});
  const { id } = await untilAnswered(() =>
    ann.call('createConversation', { body: { type: 'group', name: 'trace', memberIds: [bob.user.id] } }),
  );
  const say = async (clientId: string) => {
    const sentMs = performance.now();
    const delivered = new Promise<number>((resolve) => (heard = resolve));
    const content = { type: 'text', text: 'Where does the time go?' };
    const json = JSON.stringify({ conversationId: id, clientId, content });
    const acknowledgedMs = await new Promise<number>((resolve, reject) =>
      anns.emit('message.send', json, (ok) => (ok ? resolve(performance.now()) : reject(new Error('refused')))),
    );
    return { ackMs: acknowledgedMs - sentMs, deliveryMs: (await delivered) - sentMs };
  };
  for (let at = 0; at < WARM_MESSAGES; at += 1) await say(`warm-${at}`);

  const sinceMs = Date.now();
  const said: { readonly ackMs: number; readonly deliveryMs: number }[] = [];
  for (let at = 0; at < MESSAGES; at += 1) said.push(await say(`traced-${at}`));
  const traces = (): readonly string[] => receiver.tracesWith('message.send', sinceMs);
  await untilThere(() => traces().filter(isComplete).length === MESSAGES);
  // One after the other: traces are in the order of the messages.
  const [median] = said
    .map((one, at) => ({ ...one, traceId: traces()[at] ?? '' }))
    .sort((one, other) => one.deliveryMs - other.deliveryMs)
    .slice(Math.floor(MESSAGES / 2));
  if (median === undefined) throw new RangeError('nothing was said');
  print(
    `Over the socket, the median of ${MESSAGES} messages: acknowledged after ${median.ackMs.toFixed(1)} ms, ` +
      `at the other's after ${median.deliveryMs.toFixed(1)} ms`,
  );
  printTrace(receiver.ofTrace(median.traceId));

  const traceId = randomBytes(16).toString('hex');
  const answerMs = await overRest(ann, id, traceId);
  await untilThere(() => isComplete(traceId));
  print(`\nOver REST: answered after ${answerMs.toFixed(1)} ms`);
  printTrace(receiver.ofTrace(traceId));
  complete = true;
  for (const session of [anns, bobs]) session.close();
} finally {
  rest.close();
  await cluster.stop();
  receiver.close();
}
process.exit(complete ? 0 : 1);

function register(name: string): Promise<Account> {
  const username = `${name}-${randomBytes(4).toString('hex')}`;
  return Account.register(rest, { username, password: randomBytes(12).toString('hex') });
}

/** The path names the chat server. */
async function elsewhere(account: Account, than: SessionAddress): Promise<SessionAddress> {
  for (let device = 0; device < 50; device += 1) {
    const address = await assign(account, `trace-${device}`);
    if (address.path !== than.path) return address;
  }
  throw new Error('everybody is assigned to the same chat server');
}

async function overRest(ann: Account, conversationId: string, traceId: string): Promise<number> {
  const startMs = performance.now();
  const answer = await fetch(`${rest.baseUrl}v1/conversations/${conversationId}/messages`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await ann.token()}`,
      'content-type': 'application/json',
      traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01`,
    },
    body: JSON.stringify({ clientId: 'rest', content: { type: 'text', text: 'And here?' } }),
  });
  if (!answer.ok) throw new Error(`POST messages answered ${answer.status}: ${await answer.text()}`);
  await answer.arrayBuffer();
  return performance.now() - startMs;
}

function isComplete(traceId: string): boolean {
  const spans = receiver.ofTrace(traceId);
  return spans.some(({ name }) => name === LAST) && spans.some(({ name }) => name === 'publish');
}

async function untilThere(there: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + COLLECT_WITHIN_MS;
  while (!there()) {
    if (performance.now() > deadlineMs) throw new Error(`the trace was not complete within ${COLLECT_WITHIN_MS} ms`);
    await sleep(POLL_MS);
  }
  await sleep(2 * POLL_MS); // what ended last is exported last
}

function printTrace(spans: readonly Span[]): void {
  const [first] = spans;
  if (first === undefined) return;
  print('  start ms  took ms  process       step');
  for (const { name, service, pid, startMs, endMs } of spans) {
    const process = cluster.all.find((each) => each.pid === pid)?.name ?? service;
    const [start, took] = [startMs - first.startMs, endMs - startMs].map((ms) => ms.toFixed(2));
    print(`  ${(start ?? '').padStart(8)}  ${(took ?? '').padStart(7)}  ${process.padEnd(12)}  ${name}`);
  }
}
