import { untilAnswered } from '@parley/load';

import { trafficLine } from './report.js';
import type { Appends } from './deployment.js';
import { closeAll, type Rig } from './rig.js';
import type { Figure } from './targets.js';
import { held, highestHeld, rateNote, type Sender, type TrafficResult } from './traffic.js';

const HELD_MS = 1_000;

/** One group in which everybody writes at once: every entry has to take its place behind the one before. */
export async function measureHot(rig: Rig): Promise<Figure[]> {
  const { hotSenders, hotRates, stepMs } = rig.scale;
  const members = rig.accounts.slice(0, hotSenders);
  const memberIds = members.slice(1).map(({ user }) => user.id);
  const body = { type: 'group', name: 'hot', memberIds };
  const group = await untilAnswered(async () => members[0]?.call('createConversation', { body }));
  if (group === undefined) throw new RangeError('a group of nobody');
  const sessions = await rig.open(members.length, [...members]);
  const senderOf = (index: number): Sender => {
    const session = sessions[index % sessions.length];
    if (session === undefined) throw new RangeError('no senders');
    return { session, conversationId: group.id, receivers: sessions.length - 1 };
  };
  const batches = new Map<TrafficResult, string | undefined>();
  try {
    const best = await highestHeld(
      hotRates,
      async (ratePerSecond) => {
        const before = await rig.deployment.appends();
        const result = await rig.traffic.measure({
          ratePerSecond,
          durationMs: stepMs,
          graceMs: 5_000,
          senderOf,
          ...rig.watched(),
        });
        const after = await rig.deployment.appends();
        rig.print(`  ${sessions.length} senders: ${trafficLine(result)}`);
        const appended = appendsText(before, after, result.durationMs);
        if (appended !== undefined) rig.print(`    ${appended}`);
        batches.set(result, appended);
        return result;
      },
      (result) => held(result, { of: 'ack', p99Ms: HELD_MS }),
    );
    const appended = best === undefined ? undefined : batches.get(best);
    const note =
      `${sessions.length} senders, each entry to all others, ack p99 < ${HELD_MS / 1_000} s` +
      (appended === undefined ? '' : `; ${appended}`);
    return [{ name: 'hot-rate', value: best?.ratePerSecond ?? Number.NaN, note: rateNote(best, hotRates, note) }];
  } finally {
    closeAll(sessions);
  }
}

/** Conditional writes and what was in them; undefined where the server does not say. */
function appendsText(before: Appends | undefined, after: Appends | undefined, durationMs: number): string | undefined {
  if (before === undefined || after === undefined) return undefined;
  const batches = after.batches - before.batches;
  const entries = after.entries - before.entries;
  return `${((batches * 1_000) / durationMs).toFixed(0)} conditional writes/s of ${(entries / batches).toFixed(1)} entries each`;
}
