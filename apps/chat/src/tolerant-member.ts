import { isUnavailable } from '@parley/contracts';
import type { FrameBusMember } from '@parley/frame-bus';
import { Outage, type ServiceContext } from '@parley/service-kit';

/** A bus that was away a moment ago is not waited for. */
const OUTAGE_MS = 2_000;

/**
 * The bus as sessions need it: they open while it is away too, and nobody waits long to find out that it is. Delivery
 * calls every chat server then, and the rooms are joined when it is back.
 */
export function tolerant(
  member: FrameBusMember,
  { clock, log }: Pick<ServiceContext, 'clock' | 'log'>,
): FrameBusMember {
  const outage = new Outage(clock, OUTAGE_MS);
  const away = (error: unknown): void => {
    if (!isUnavailable(error)) throw error;
    if (!outage.known) log.warn({ err: error }, 'rooms open without the bus');
    outage.began();
  };
  return {
    async join(room) {
      const joined = member.join(room).catch(away);
      if (outage.known) joined.catch((error: unknown) => log.error({ err: error, room }, 'a room was not joined'));
      else await joined;
    },
    leave: (room) => member.leave(room),
    close: () => member.close(),
  };
}
