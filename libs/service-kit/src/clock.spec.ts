import { describe, expect, it } from '@jest/globals';

import { ManualClock, systemClock } from './clock.js';

describe('a manual clock', () => {
  it('stands still until it is told to move', () => {
    const clock = new ManualClock(1_000);
    expect(clock.now()).toBe(1_000);
    clock.advance(250);
    expect(clock.now()).toBe(1_250);
  });

  it('calls timers in order of their time, each at its time', () => {
    const clock = new ManualClock(0);
    const calls: string[] = [];
    const call = (name: string) => () => void calls.push(`${name} ${clock.now()}`);
    clock.after(30, call('late'));
    clock.after(10, call('early'));
    clock.every(20, call('often'));
    clock.advance(45);
    expect(calls).toEqual(['early 10', 'often 20', 'late 30', 'often 40']);
    clock.advance(15);
    expect(calls.slice(4)).toEqual(['often 60']);
  });

  it('calls what a timer has set meanwhile, if its time has come', () => {
    const clock = new ManualClock(0);
    const calls: number[] = [];
    clock.after(10, () => clock.after(10, () => calls.push(clock.now())));
    clock.advance(20);
    expect(calls).toEqual([20]);
  });

  it('does not call a timer that was cancelled, also not from within', () => {
    const clock = new ManualClock(0);
    let calls = 0;
    clock.after(10, () => (calls += 1)).cancel();
    const often = clock.every(10, () => {
      calls += 1;
      often.cancel();
    });
    clock.advance(100);
    expect(calls).toBe(1);
  });
});

describe('the system clock', () => {
  it('tells the time and calls back', async () => {
    const before = Date.now();
    await new Promise<void>((resolve) => void systemClock.after(1, resolve));
    let ticks = 0;
    await new Promise<void>((resolve) => {
      const timer = systemClock.every(1, () => {
        ticks += 1;
        if (ticks < 2) return;
        timer.cancel();
        resolve();
      });
    });
    expect(systemClock.now()).toBeGreaterThanOrEqual(before);
  });
});
