import type { Assignment } from '@parley/contracts';
import type { ServiceContext } from '@parley/service-kit';

import { EncodedFrame } from './encoded-frame.js';
import type { Session } from './session.js';

const SLICE_MS = 100;
/** The last who were told get this long to go by themselves. */
const RECONNECT_AFTER_MIN_MS = 200;
const RECONNECT_SPREAD_MS = 1_000;

/** How long a drain of so many sessions takes. */
export function drainMs(sessions: number, perSecond: number): number {
  return sessions === 0 ? 0 : Math.ceil(sessions / perSlice(perSecond) - 1) * SLICE_MS + RECONNECT_AFTER_MIN_MS;
}

/**
 * Tells every session to reconnect, at a bounded rate and each after a time of its own, so that those who come back do
 * not come at once; with its next assignment, if there is one. Resolves when the last was told and had its time.
 */
export async function drain(
  sessions: readonly Session[],
  perSecond: number,
  { clock, random }: Pick<ServiceContext, 'clock' | 'random'>,
  next: (session: Session) => Assignment | null,
): Promise<void> {
  const atOnce = perSlice(perSecond);
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      clock.after(ms, resolve);
    });
  for (let at = 0; at < sessions.length; at += atOnce) {
    for (const session of sessions.slice(at, at + atOnce)) {
      // Whoever has left meanwhile needs no place elsewhere.
      if (session.phase === 'closed') continue;
      const reconnectAfterMs = Math.round(RECONNECT_AFTER_MIN_MS + random() * RECONNECT_SPREAD_MS);
      const assignment = next(session);
      const payload = { reconnectAfterMs, ...(assignment === null ? {} : { session: assignment }) };
      session.deliver(new EncodedFrame({ event: 'server.draining', data: JSON.stringify(payload) }));
    }
    if (at + atOnce < sessions.length) await pause(SLICE_MS);
  }
  if (sessions.length > 0) await pause(RECONNECT_AFTER_MIN_MS);
}

function perSlice(perSecond: number): number {
  return Math.max(1, Math.round((perSecond * SLICE_MS) / 1_000));
}
