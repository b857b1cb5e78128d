import { MESSAGE_LIMITS } from '@parley/contracts';

import type { LogLine } from './irc-log.js';
import { nickKey } from './nick.js';

/** Somebody of the log: the nick first seen, and how many others had it before. */
export interface Role {
  readonly nick: string;
  readonly generation: number;
}

/** What one role does; `role` is a position in the roster. */
export type Step = { readonly role: number; readonly atMs: number; readonly line: number } & (
  | { readonly kind: 'join' }
  | { readonly kind: 'leave' }
  | { readonly kind: 'rename'; readonly displayName: string }
  /** `answers`: the line whose message this one replies to. */
  | { readonly kind: 'send'; readonly text: string; readonly answers?: number }
);

export interface Script {
  readonly roster: readonly Role[];
  readonly steps: readonly Step[];
}

const DAY_MINUTES = 24 * 60;
const DISPLAY_NAME_MAX = 120;

/**
 * Turns a log into what each role does when. A role is a person: it keeps its account through renames, and a nick that
 * was given up and is seen again is somebody else. Who speaks, leaves or changes name without having joined in the
 * log was there before it, and joins first.
 */
export function writeScript(lines: readonly LogLine[], answers: ReadonlyMap<number, number>): Script {
  const roster: Role[] = [];
  const holders = new Map<string, number>();
  const generations = new Map<string, number>();
  const members = new Set<number>();
  const steps: Step[] = [];
  const sent = new Set<number>();
  const times = timesOf(lines);

  const roleOf = (nick: string): number => {
    const key = nickKey(nick);
    const known = holders.get(key);
    if (known !== undefined) return known;
    const generation = (generations.get(key) ?? 0) + 1;
    generations.set(key, generation);
    holders.set(key, roster.length);
    return roster.push({ nick, generation }) - 1;
  };

  for (const entry of lines) {
    if (entry.kind === 'noise') continue;
    const role = roleOf(entry.nick);
    const at = { role, line: entry.line, atMs: times[entry.line] ?? 0 };
    if (!members.has(role)) {
      members.add(role);
      steps.push({ ...at, kind: 'join' });
    }
    switch (entry.kind) {
      case 'join':
        break;
      case 'leave':
        members.delete(role);
        steps.push({ ...at, kind: 'leave' });
        break;
      case 'rename':
        holders.delete(nickKey(entry.nick));
        holders.set(nickKey(entry.to), role);
        steps.push({ ...at, kind: 'rename', displayName: entry.to.slice(0, DISPLAY_NAME_MAX).toWellFormed() });
        break;
      case 'say':
      case 'action': {
        const text = entry.kind === 'say' ? entry.text : `* ${entry.nick} ${entry.text}`.trimEnd();
        const answered = answers.get(entry.line);
        sent.add(entry.line);
        steps.push({
          ...at,
          kind: 'send',
          text: text.slice(0, MESSAGE_LIMITS.textMaxUnits).toWellFormed(),
          ...(answered !== undefined && sent.has(answered) ? { answers: answered } : {}),
        });
      }
    }
  }
  return { roster, steps };
}

/** Milliseconds from the start of the log: a minute's lines are spread over it, midnight passes, and no time runs back. */
function timesOf(lines: readonly LogLine[]): number[] {
  const minutes: number[] = [];
  let last = lines[0]?.minute ?? 0;
  let now = 0;
  for (const { minute } of lines) {
    // The nearer way round the clock: an hour earlier is a straggler, thirteen hours earlier is tomorrow.
    now += ((minute - last + DAY_MINUTES * 1.5) % DAY_MINUTES) - DAY_MINUTES / 2;
    last = minute;
    minutes.push(Math.max(minutes.at(-1) ?? 0, now));
  }
  const sizes = new Map<number, number>();
  for (const minute of minutes) sizes.set(minute, (sizes.get(minute) ?? 0) + 1);
  const used = new Map<number, number>();
  return minutes.map((minute) => {
    const position = used.get(minute) ?? 0;
    used.set(minute, position + 1);
    return Math.floor((minute + position / (sizes.get(minute) ?? 1)) * 60_000);
  });
}
