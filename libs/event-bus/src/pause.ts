import { setTimeout as sleep } from 'node:timers/promises';

/** The pause of everything that is not a test. */
export async function pauseByTimer(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
