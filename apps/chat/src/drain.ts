import type { ServiceContext } from '@parley/service-kit';

import { EncodedFrame } from './encoded-frame.js';
import type { Session } from './session.js';

const SLICE_MS = 100;
/** The last who were told get this long to go by themselves. */
const RECONNECT_AFTER_MIN_MS = 200;
const RECONNECT_SPREAD_MS = 1_000;

/**
 * Tells every session to reconnect, at a bounded rate and each after a time of its own, so that those who come back do
 * not come at once. Resolves when the last was told and had its time.
 */
export async function drain(
  sessions: readonly Session[],
  perSecond: number,
  { clock, random }: Pick<ServiceContext, 'clock' | 'random'>,
): Promise<void> {
  const perSlice = Math.max(1, Math.round((perSecond * SLICE_MS) / 1_000));
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      clock.after(ms, resolve);
    });
  for (let at = 0; at < sessions.length; at += perSlice) {
    for (const session of sessions.slice(at, at + perSlice)) {
      const reconnectAfterMs = Math.round(RECONNECT_AFTER_MIN_MS + random() * RECONNECT_SPREAD_MS);
      session.deliver(new EncodedFrame({ event: 'server.draining', data: JSON.stringify({ reconnectAfterMs }) }));
    }
    if (at + perSlice < sessions.length) await pause(SLICE_MS);
  }
  if (sessions.length > 0) await pause(RECONNECT_AFTER_MIN_MS);
}
