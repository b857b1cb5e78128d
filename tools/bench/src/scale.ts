/** How much is measured; `quick` says whether something is broken, `full` what the figures are. */
export interface Scale {
  /** Wanted accounts; fewer are made where registering them takes longer than `registerMs`, never under `accountsMin`. */
  readonly accounts: number;
  readonly accountsMin: number;
  readonly registerMs: number;
  /** Of load that is not measured, before the first row. */
  readonly warmMs: number;
  readonly stepMs: number;
  readonly slowStepMs: number;
  readonly pairs: number;
  readonly directRates: readonly number[];
  readonly roomSessions: number;
  readonly roomRates: readonly number[];
  readonly bigRoomSessions: number;
  readonly bigRoomMs: number;
  readonly idleSessions: number;
  readonly settleMs: number;
  readonly hotSenders: number;
  readonly hotRates: readonly number[];
  readonly fetches: number;
  readonly starts: number;
}

export const FULL: Scale = {
  accounts: 10_000,
  accountsMin: 1_000,
  registerMs: 150_000,
  warmMs: 0,
  stepMs: 8_000,
  slowStepMs: 20_000,
  pairs: 200,
  directRates: [200, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 10_000],
  roomSessions: 1_000,
  roomRates: [20, 50, 100, 150, 200, 300, 400, 600],
  bigRoomSessions: 10_000,
  bigRoomMs: 30_000,
  idleSessions: 10_000,
  settleMs: 15_000,
  hotSenders: 16,
  hotRates: [1_000, 3_000, 5_000, 6_000, 8_000, 10_000],
  fetches: 50,
  starts: 5,
};

export const QUICK: Scale = {
  accounts: 250,
  accountsMin: 250,
  registerMs: 15_000,
  warmMs: 0,
  stepMs: 2_000,
  slowStepMs: 5_000,
  pairs: 50,
  directRates: [1_000, 3_000, 5_000],
  roomSessions: 1_000,
  roomRates: [20, 100],
  bigRoomSessions: 2_000,
  bigRoomMs: 5_000,
  idleSessions: 2_000,
  settleMs: 3_000,
  hotSenders: 16,
  hotRates: [1_000, 5_000],
  fetches: 20,
  starts: 3,
};

/** The same on a cluster, whose rates are others. */
export function onCluster(scale: Scale): Scale {
  if (scale === QUICK)
    return {
      ...QUICK,
      warmMs: 20_000,
      directRates: [500, 1_000, 2_000],
      roomRates: [20, 50],
      hotRates: [1_000, 3_000],
    };
  return {
    ...scale,
    warmMs: 60_000,
    directRates: [200, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000],
    roomRates: [10, 20, 50, 75, 100, 150, 200],
    hotRates: [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000],
  };
}
