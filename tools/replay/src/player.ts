import type { Account } from '@parley/load';

import type { ReplayClient } from './replay-client.js';

/** One person on the stage. */
export interface Player {
  readonly account: Account;
  readonly client: ReplayClient;
  member: boolean;
  /** What this person certainly may see: from here, and within these. */
  joinedAt: number;
  readonly past: { readonly from: number; readonly to: number }[];
  /** What this person does happens one after the other. */
  turn: Promise<void>;
}

/** Whether this person's membership certainly covers a position; where it is not certain, no. */
export function maySee(player: Player, seq: number): boolean {
  return seq >= player.joinedAt || player.past.some(({ from, to }) => from <= seq && seq <= to);
}
