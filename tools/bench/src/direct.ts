import { mapBounded, untilAnswered } from '@parley/load';

import { measureCeiling } from './ceiling.js';
import { trafficLine } from './report.js';
import { closeAll, type Rig } from './rig.js';
import type { Figure } from './targets.js';
import { held, highestHeld, median, rateNote, type Sender } from './traffic.js';

const HELD_MS = 250;
const SLOW_RATE = 200;
const WARM_RATES = [100, 600];
const WARM_PAIRS = 50;
/** How far above the server's best the generator must be able to go. */
const HEADROOM = 2;

/** Pairs of people, one writing to the other: latency at a low rate, then the highest rate held. */
export async function measureDirect(rig: Rig): Promise<Figure[]> {
  const { pairs, stepMs, directRates } = rig.scale;
  const { sessions, senderOf } = await openPairs(rig, pairs);
  const measure = async (ratePerSecond: number, durationMs = stepMs) => {
    const result = await rig.traffic.measure({
      ...{ ratePerSecond, durationMs, graceMs: 5_000, senderOf },
      ...rig.watched(),
    });
    rig.print(`  ${pairs} pairs: ${trafficLine(result)}`);
    return result;
  };
  try {
    // The first seconds of a process are its compiler's.
    await measure(SLOW_RATE, Math.min(3_000, stepMs));
    const slow = await measure(SLOW_RATE);
    const best = await highestHeld(directRates, measure, (result) => held(result, { of: 'delivery', p99Ms: HELD_MS }));
    const rate = best?.ratePerSecond ?? 0;
    await measureCeiling(rig, {
      ...{ rooms: pairs, sessionsPerRoom: 2, durationMs: stepMs / 2 },
      ratePerSecond: HEADROOM * Math.max(rate, directRates[0] ?? 0),
    });
    const slows = [slow, await measure(SLOW_RATE), await measure(SLOW_RATE)];
    const note = `median of ${slows.length} runs`;
    return [
      {
        name: 'direct-rate',
        value: best === undefined ? Number.NaN : rate,
        note: rateNote(best, directRates, `${pairs} pairs`),
      },
      { name: 'direct-ack', value: median(slows.map(({ ack }) => ack.p50Ms)), note },
      { name: 'direct-delivery', value: median(slows.map(({ delivery }) => delivery.p99Ms)), note },
    ];
  } finally {
    closeAll(sessions);
  }
}

/** A JVM compiles what it does often: an engine that has just been started answers ten times slower than it will. */
export async function warm(rig: Rig): Promise<void> {
  const { warmMs } = rig.scale;
  if (warmMs === 0) return;
  const { sessions, senderOf } = await openPairs(rig, WARM_PAIRS);
  try {
    const load = { durationMs: warmMs / 2, graceMs: 10_000, senderOf, ...rig.watched() };
    for (const ratePerSecond of WARM_RATES) {
      const result = await rig.traffic.measure({ ...load, ratePerSecond });
      rig.print(`  warming up: ${trafficLine(result)}`);
    }
  } finally {
    closeAll(sessions);
  }
}

/** Each in a conversation of its own, from the first of the accounts. */
async function openPairs(rig: Rig, pairs: number) {
  const accounts = rig.accounts.slice(0, 2 * pairs);
  const sessions = await rig.open(accounts.length, [...accounts]);
  const writers = accounts.slice(0, pairs);
  const senders = await mapBounded(writers, 16, async (writer, index): Promise<Sender> => {
    const session = sessions[index];
    const reader = accounts[pairs + index];
    if (session === undefined || reader === undefined) throw new RangeError(`pair ${index} is not whole`);
    const body = { type: 'direct', memberIds: [reader.user.id] };
    const { id } = await untilAnswered(() => writer.call('createConversation', { body }));
    return { session, conversationId: id, receivers: 1 };
  });
  const senderOf = (index: number): Sender => {
    const sender = senders[index % senders.length];
    if (sender === undefined) throw new RangeError('no pairs');
    return sender;
  };
  return { sessions, senderOf };
}
