/** A small generator (mulberry32), so that a run can be repeated by its seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Shares of the whole at which to kill: ascending, one in each part of the middle nine tenths. */
export function killPoints(kills: number, random: () => number): number[] {
  return Array.from({ length: kills }, (_none, index) => 0.05 + (0.9 * (index + random())) / kills);
}
