import { type Account, type Backoff, mapBounded, Account as Accounts, RestClient } from '@parley/load';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { BUNDLED_LOGS, filesOf } from './bundled-logs.js';
import { ConversationPlay, type ConversationReport } from './conversation-replay.js';
import { parseAnnotations, parseLog } from './irc-log.js';
import { encodeNick } from './nick.js';
import { type Script, writeScript } from './script.js';

export interface ReplayOptions {
  /** The public address of the server. */
  readonly url: string;
  /** So many times faster than it happened, or without any waiting. */
  readonly speed: number | 'max';
  /** Files to replay, one conversation each; the bundled logs by default. */
  readonly logs?: readonly string[];
  /** Steps under way at once, for each log. */
  readonly inFlightMax?: number;
  /** Begins every username; differs from run to run, so that a server can be used again. At most 10 characters. */
  readonly run?: string;
  readonly random?: () => number;
  /** What carries live events goes down during the run. */
  readonly lossy?: boolean;
  readonly onProgress?: (progress: ReplayProgress) => void;
}

export interface ReplayProgress {
  readonly phase: 'registering' | 'playing';
  readonly done: number;
  readonly total: number;
  readonly acknowledged: number;
  readonly reconnections: number;
}

export interface ReplayReport {
  readonly conversations: readonly ConversationReport[];
  /** Nothing was lost, duplicated, reordered, leaked or altered, and nothing was refused. */
  readonly ok: boolean;
}

const IN_FLIGHT_MAX = 64;
const REGISTER_AT_ONCE = 8;
/** The design's: 1 s × 2ⁿ, at most 60 s, ± 50 %. */
const RECONNECT = { firstMs: 1_000, capMs: 60_000, jitter: 0.5 };

/** Replays logs against a server through its public contract, and proves what every client saw. */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const random = options.random ?? Math.random;
  const run = options.run ?? `r${Date.now().toString(36).slice(-6)}${randomBytes(1).toString('hex')}`;
  const logs = options.logs ?? BUNDLED_LOGS.map(({ log }) => log);
  const rest = new RestClient(options.url, { connectionsMax: 64 });
  const backoff: Backoff = { ...RECONNECT, random };
  try {
    const parts = await Promise.all(logs.map((log) => readScript(log)));
    const accounts = await register(rest, run, parts, options.onProgress);
    const plays: ConversationPlay[] = [];
    const onProgress = (): void => options.onProgress?.(playing(plays));
    parts.forEach(({ name, lines, script }, index) => {
      const [owner, ...cast] = accounts[index] ?? [];
      if (owner === undefined) throw new RangeError(`nobody owns ${name}`);
      plays.push(
        new ConversationPlay({
          name,
          lines,
          script,
          rest,
          owner,
          accounts: cast,
          visibility: index % 2 === 0 ? 'public' : 'private',
          speed: options.speed,
          inFlightMax: options.inFlightMax ?? IN_FLIGHT_MAX,
          backoff,
          onProgress,
          lossy: options.lossy ?? false,
        }),
      );
    });
    // All are waited for, so that none goes on behind the back of who asked when another fails.
    const outcomes = await Promise.allSettled(plays.map((play) => play.run()));
    const conversations = outcomes.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    });
    return { conversations, ok: conversations.every(faultless) };
  } finally {
    rest.close();
  }
}

export function faultless({ verdict, failures, sent, acknowledged }: ConversationReport): boolean {
  return Object.values(verdict.counts).every((count) => count === 0) && failures.length === 0 && sent === acknowledged;
}

interface Part {
  readonly name: string;
  readonly lines: number;
  readonly script: Script;
}

async function readScript(path: string): Promise<Part> {
  const files = filesOf(path);
  const [log, annotations] = await Promise.all([
    readFile(files.log),
    readFile(files.annotations, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return ''; // a log without annotations has no replies
    }),
  ]);
  const lines = parseLog(log);
  return {
    name: basename(path, '.raw.txt'),
    lines: lines.length,
    script: writeScript(lines, parseAnnotations(annotations)),
  };
}

/** An owner and a whole cast for each log; nobody is in two. */
async function register(
  rest: RestClient,
  run: string,
  parts: readonly Part[],
  onProgress: ReplayOptions['onProgress'],
): Promise<Account[][]> {
  const password = randomBytes(12).toString('hex');
  const wanted = parts.flatMap(({ script }, part) => [
    { part, username: `${run}.${part}.0.owner`, displayName: 'The owner' },
    ...script.roster.map(({ nick, generation }) => ({
      part,
      username: `${run}.${part}.${generation}.${encodeNick(nick)}`,
      displayName: nick.slice(0, 120).toWellFormed(),
    })),
  ]);
  let done = 0;
  const accounts: Account[][] = parts.map(() => []);
  const made = await mapBounded(wanted, REGISTER_AT_ONCE, async ({ username, displayName }) => {
    const account = await Accounts.register(rest, { username, password, displayName });
    done += 1;
    onProgress?.({ phase: 'registering', done, total: wanted.length, acknowledged: 0, reconnections: 0 });
    return account;
  });
  made.forEach((account, index) => accounts[wanted[index]?.part ?? 0]?.push(account));
  return accounts;
}

function playing(plays: readonly ConversationPlay[]): ReplayProgress {
  const sum = { done: 0, total: 0, acknowledged: 0, reconnections: 0 };
  for (const { progress } of plays) {
    sum.done += progress.done;
    sum.total += progress.total;
    sum.acknowledged += progress.acknowledged;
    sum.reconnections += progress.reconnections;
  }
  return { phase: 'playing', ...sum };
}
