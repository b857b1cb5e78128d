import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { RateLimiter } from './rate-limiter.js';

/** What every adapter of the port must do. `open` gives a limiter with at most `maxKeys` buckets and this clock. */
export function rateLimiterConformance(
  name: string,
  open: (config: { readonly maxKeys: number; readonly nowMs: () => number }) => Promise<RateLimiter>,
): void {
  describe(`${name} as a rate limiter`, () => {
    const spec = { perSecond: 10, burst: 3 };
    let nowMs = 0;
    let limiter: RateLimiter;
    const takes = (count: number, key = 'k'): boolean[] =>
      Array.from({ length: count }, () => limiter.take(key, spec).ok);

    beforeEach(async () => {
      nowMs = 1_000;
      limiter = await open({ maxKeys: 2, nowMs: () => nowMs });
    });

    afterEach(() => limiter.close());

    it('gives a burst at once, then refuses and says when to come back', () => {
      expect(takes(3)).toEqual([true, true, true]);
      expect(limiter.take('k', spec)).toEqual({ ok: false, retryAfterMs: 100 });
      nowMs += 40;
      expect(limiter.take('k', spec)).toEqual({ ok: false, retryAfterMs: 60 });
      nowMs += 60;
      expect(takes(2)).toEqual([true, false]);
    });

    it('gives what it said it would: whoever comes back then is served', () => {
      takes(3);
      for (let round = 0; round < 20; round += 1) {
        const refused = limiter.take('k', { perSecond: 7, burst: 3 });
        if (refused.ok) throw new Error('the bucket should be empty');
        nowMs += refused.retryAfterMs;
        expect(limiter.take('k', { perSecond: 7, burst: 3 }).ok).toBe(true);
      }
    });

    it('refills to the burst and no further', () => {
      takes(3);
      nowMs += 3_600_000;
      expect(takes(4)).toEqual([true, true, true, false]);
    });

    it('takes several tokens at once or none', () => {
      expect(limiter.take('k', spec, 2).ok).toBe(true);
      expect(limiter.take('k', spec, 2)).toEqual({ ok: false, retryAfterMs: 100 });
      expect(limiter.take('k', spec, 1).ok).toBe(true);
    });

    it('serves more tokens than a bucket holds from a full one', () => {
      expect(limiter.take('k', spec, 100).ok).toBe(true);
      expect(limiter.take('k', spec, 100)).toEqual({ ok: false, retryAfterMs: 300 });
    });

    it('tells what a take would answer, and takes nothing', () => {
      for (let check = 0; check < 5; check += 1) expect(limiter.check('k', spec)).toEqual({ ok: true });
      expect(takes(3)).toEqual([true, true, true]);
      expect(limiter.check('k', spec)).toEqual({ ok: false, retryAfterMs: 100 });
      nowMs += 100;
      expect(limiter.check('k', spec)).toEqual({ ok: true });
      expect(takes(1)).toEqual([true]);
    });

    it('keeps keys apart, and forgets the longest unused beyond its bound', () => {
      takes(3, 'a');
      takes(3, 'b');
      expect(takes(1, 'a')).toEqual([false]);
      takes(3, 'c');
      expect(takes(1, 'a')).toEqual([false]);
      expect(takes(1, 'b')).toEqual([true]);
    });
  });
}
