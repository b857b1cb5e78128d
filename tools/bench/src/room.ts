import type { RawSession } from '@parley/load';

import { measureCeiling } from './ceiling.js';
import { trafficLine } from './report.js';
import { closeAll, type Rig } from './rig.js';
import type { Figure } from './targets.js';
import { cpuPer100kDeliveries, held, highestHeld, rateNote, type Sender, type TrafficResult } from './traffic.js';

const HELD_MS = 1_000;
const CPU_RATE = 100;

/** A room of 1,000 connected sessions: one message a second, then the highest rate held. */
export async function measureRoom(rig: Rig): Promise<Figure[]> {
  const { roomSessions, roomRates, stepMs, slowStepMs } = rig.scale;
  const members = rig.accounts.slice(0, roomSessions);
  const conversationId = await rig.channel(members, 'room');
  const sessions = await rig.open(roomSessions, [...members]);
  const measure = (ratePerSecond: number, durationMs = stepMs): Promise<TrafficResult> =>
    measureIn(rig, sessions, conversationId, ratePerSecond, durationMs);
  try {
    await measure(10, Math.min(3_000, stepMs)); // warm
    const slow = await measure(1, slowStepMs);
    await measureCeiling(rig, {
      rooms: 1,
      sessionsPerRoom: roomSessions,
      ratePerSecond: 1,
      durationMs: slowStepMs / 2,
    });
    const results: TrafficResult[] = [];
    const best = await highestHeld(
      roomRates,
      async (rate) => {
        const result = await measure(rate);
        results.push(result);
        return result;
      },
      (result) => held(result, { of: 'last', p99Ms: HELD_MS }),
    );
    const rate = best?.ratePerSecond ?? Number.NaN;
    await measureCeiling(rig, {
      ...{ rooms: 1, sessionsPerRoom: roomSessions, durationMs: stepMs / 2 },
      ratePerSecond: best?.ratePerSecond ?? CPU_RATE,
    });
    // At the rate of the target, or the nearest below it at which everything arrived.
    const atCpuRate = results.findLast((one) => one.ratePerSecond <= CPU_RATE && one.delivered === one.expected);
    const cpu =
      atCpuRate === undefined
        ? Number.NaN
        : cpuPer100kDeliveries(atCpuRate, (process) => rig.deployment.delivers(process));
    const note = `${roomSessions} sessions of ${members.length} members`;
    return [
      { name: 'room-rate', value: rate, note: rateNote(best, roomRates, note) },
      { name: 'room-last', value: slow.last.p50Ms, note },
      { name: 'delivery-cpu', value: cpu, note: `at ${atCpuRate?.ratePerSecond ?? 'no rate'}/s` },
    ];
  } finally {
    closeAll(sessions);
  }
}

/** Everybody in turn writes to the room that everybody is in. */
export async function measureIn(
  rig: Rig,
  sessions: readonly RawSession[],
  conversationId: string,
  ratePerSecond: number,
  durationMs: number,
): Promise<TrafficResult> {
  const senderOf = (index: number): Sender => {
    // A step that is coprime to the number of sessions: neighbours in the server's tables do not follow each other.
    const session = sessions[(index * 7_919) % sessions.length];
    if (session === undefined) throw new RangeError('no sessions');
    return { session, conversationId, receivers: sessions.length - 1 };
  };
  const result = await rig.traffic.measure({
    ratePerSecond,
    durationMs,
    graceMs: 5_000,
    senderOf,
    ...rig.watched(),
  });
  rig.print(`  ${sessions.length} sessions: ${trafficLine(result)}`);
  return result;
}
