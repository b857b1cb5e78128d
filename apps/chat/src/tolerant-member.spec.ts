import { describe, expect, it } from '@jest/globals';
import { ParleyError } from '@parley/contracts';
import type { FrameBusMember } from '@parley/frame-bus';
import { ManualClock, silentLogger } from '@parley/service-kit';

import { tolerant } from './tolerant-member.js';

function given(join: () => Promise<void>) {
  const clock = new ManualClock();
  const member: FrameBusMember = { join, leave: async () => undefined, close: async () => undefined };
  return { clock, bus: tolerant(member, { clock, log: silentLogger }) };
}

describe('a room', () => {
  it('is joined once the bus says so', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { bus } = given(() => promise);
    let joined = false;
    const joining = bus.join('c:1').then(() => (joined = true));
    await new Promise((settled) => setImmediate(settled));
    expect(joined).toBe(false);
    resolve();
    await joining;
  });

  it('opens though the bus is away, and the next ones do not wait to find out', async () => {
    let asked = 0;
    const never = new Promise<void>(() => undefined);
    const { bus, clock } = given(() => {
      asked += 1;
      return asked === 1 ? Promise.reject(new ParleyError('unavailable', 'away')) : never;
    });
    await bus.join('c:1');
    await bus.join('c:2');
    await bus.join('c:3');
    expect(asked).toBe(3);
    clock.advance(2_000);
    let joined = false;
    void bus.join('c:4').then(() => (joined = true));
    await new Promise((settled) => setImmediate(settled));
    expect(joined).toBe(false);
  });

  it('does not open when something else is wrong', async () => {
    const { bus } = given(() => Promise.reject(new Error('a bug')));
    await expect(bus.join('c:1')).rejects.toThrow('a bug');
  });
});
