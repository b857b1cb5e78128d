import type { ProcessStats } from '@parley/load';
import { setTimeout as sleep } from 'node:timers/promises';

import { measureCeiling } from './ceiling.js';
import { serviceOf, total, usedBetween } from './deployment.js';
import { closeAll, type Rig } from './rig.js';
import { measureIn } from './room.js';
import type { Figure } from './targets.js';
import { cpuPer100kDeliveries } from './traffic.js';

const KILOBYTE = 1_024;

/** Many connections that do nothing, on a fresh server: what each keeps in memory. Then all of them in one room. */
export async function measureIdleAndBigRoom(rig: Rig): Promise<Figure[]> {
  const { idleSessions, bigRoomSessions, settleMs, bigRoomMs } = rig.scale;
  await rig.restart();
  // Some sessions first: what a process allocates once, for any connection at all, is not a connection's.
  closeAll(await rig.open(Math.min(200, idleSessions)));
  await sleep(settleMs);
  const before = await rig.statsOfEach();
  const startMs = performance.now();
  const sessions = await rig.open(idleSessions);
  const tookMs = performance.now() - startMs;
  const opened = usedBetween(before, await rig.statsOfEach());
  await sleep(settleMs);
  const settled = usedBetween(before, await rig.statsOfEach());
  const holds = (process: string): boolean => process === 'server' || /^(?:chat|gateway)-/.test(process);
  const each = (now: ReadonlyMap<string, ProcessStats>, of = holds): number =>
    (total(now, of).rssBytes - total(before, of).rssBytes) / sessions.length / KILOBYTE;
  const [inChat, inGateway] = ['chat', 'gateway'].map((service) =>
    each(settled, (process) => serviceOf(process) === service).toFixed(1),
  );
  const split = rig.deployment.name === 'cluster' ? `; chat ${inChat ?? ''} KB, gateway ${inGateway ?? ''} KB` : '';
  rig.print(
    `  ${sessions.length} sessions opened in ${(tookMs / 1_000).toFixed(1)} s (${((sessions.length * 1_000) / tookMs).toFixed(0)}/s, ` +
      `session request included; server ${total(opened).cpuSeconds.toFixed(1)} s CPU); ` +
      `${each(opened).toFixed(1)} KB each at once, ${each(settled).toFixed(1)} KB after ${settleMs / 1_000} s${split}`,
  );
  const room = sessions.slice(0, bigRoomSessions);
  const members = rig.accounts.slice(0, room.length);
  try {
    const conversationId = await rig.channel(members, 'big room');
    await sleep(settleMs / 3); // what joining tells everybody has to be out of the way
    await measureIn(rig, room, conversationId, 1, 5_000); // warm
    const result = await measureIn(rig, room, conversationId, 1, bigRoomMs);
    closeAll(sessions);
    await measureCeiling(rig, { rooms: 1, sessionsPerRoom: room.length, ratePerSecond: 1, durationMs: bigRoomMs / 3 });
    const note = `${room.length} sessions of ${members.length} members`;
    return [
      {
        name: 'idle-memory',
        value: each(settled),
        note: `${sessions.length} sessions of ${rig.accounts.length} accounts${split}`,
      },
      { name: 'big-room-last', value: result.last.p99Ms, note },
      {
        name: 'big-room-cpu',
        value: cpuPer100kDeliveries(result, (process) => rig.deployment.delivers(process)),
        note,
      },
    ];
  } finally {
    closeAll(sessions);
  }
}
