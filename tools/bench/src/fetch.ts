import { parse, SyncPage } from '@parley/contracts';
import { Histogram, type RestAnswer, untilAnswered } from '@parley/load';

import { latencyText } from './report.js';
import { closeAll, type Rig } from './rig.js';
import type { Figure } from './targets.js';

const MISSED = 1_000;

/** Somebody was away for 1,000 messages and fetches them in one request. */
export async function measureFetch(rig: Rig): Promise<Figure[]> {
  const [writer, reader] = rig.accounts;
  if (writer === undefined || reader === undefined) throw new RangeError('two accounts are needed');
  const body = { type: 'group', name: 'missed', memberIds: [reader.user.id] };
  const { id } = await untilAnswered(() => writer.call('createConversation', { body }));
  const sessions = await rig.open(1, [writer]);
  const [session] = sessions;
  if (session === undefined) throw new RangeError('no session');
  try {
    const sent = await rig.traffic.measure({
      ...{ ratePerSecond: 500, durationMs: (MISSED / 500) * 1_000, graceMs: 10_000, ...rig.watched() },
      senderOf: () => ({ session, conversationId: id, receivers: 0 }),
    });
    const path = `/v1/messages/sync?conversationId=${id}&after=0&limit=${MISSED}`;
    const times = new Histogram();
    let bytes = 0;
    for (let at = 0; at < rig.scale.fetches; at += 1) {
      const token = await reader.token();
      const startMs = performance.now();
      const answer = await rig.rest.send('GET', path, { token });
      times.record(performance.now() - startMs);
      bytes = answer.body.length;
      if (at === 0 && entriesOf(answer) !== MISSED) {
        throw new Error(`${sent.acknowledged} were acknowledged, ${entriesOf(answer)} fetched`);
      }
    }
    rig.print(`  ${times.count} fetches of ${MISSED} entries (${bytes} bytes): ${latencyText(times.summary())} ms`);
    return [{ name: 'fetch', value: times.quantile(0.5), note: `p99 ${times.quantile(0.99).toFixed(1)} ms` }];
  } finally {
    closeAll(sessions);
  }
}

function entriesOf({ status, body }: RestAnswer): number {
  if (status !== 200) throw new Error(`sync answered ${status}: ${body.toString('utf8', 0, 200)}`);
  return parse(SyncPage, JSON.parse(body.toString('utf8')), 'sync answer').entries.length;
}
