/** One line of a log; `line` counts from 0 as the annotations do. `minute` is of the day, from the last time seen. */
export type LogLine = { readonly line: number; readonly minute: number } & (
  | { readonly kind: 'say' | 'action'; readonly nick: string; readonly text: string }
  | { readonly kind: 'join' | 'leave'; readonly nick: string }
  | { readonly kind: 'rename'; readonly nick: string; readonly to: string }
  /** Nothing that anybody did: kept, so that every line is accounted for. */
  | { readonly kind: 'noise' }
);

const SAY = /^\[(\d{2}):(\d{2})\] <([^>\s]+)> ?(.*)$/s;
const ACTION = /^\[(\d{2}):(\d{2})\] +\* (\S+) ?(.*)$/s;
const NOTICE = /^=== (\S+) +(\[[^\]\s]*\] +)?(.*)$/s;
const JOINED = /^has joined(?: #\S*)?\s*$/;
const LEFT = /^has (?:left|quit)(?: #\S*)?(?:\s*[[("].*)?$/s;
const RENAMED = /^is now known as (\S+)\s*$/;

/**
 * Reads a log of any bytes: what is not UTF-8 becomes U+FFFD, control characters stay, and a line that is in no known
 * form is noise. Lines end at a line feed only, because that is how the annotations count.
 */
export function parseLog(bytes: Uint8Array): LogLine[] {
  const lines = new TextDecoder('utf-8').decode(bytes).split('\n');
  if (lines.at(-1) === '') lines.pop();
  let minute = 0;
  return lines.map((raw, line) => {
    const text = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    const parsed = parseLine(text);
    minute = parsed.minute ?? minute;
    return { ...parsed.what, line, minute };
  });
}

type What =
  | { kind: 'say' | 'action'; nick: string; text: string }
  | { kind: 'join' | 'leave'; nick: string }
  | { kind: 'rename'; nick: string; to: string }
  | { kind: 'noise' };

function parseLine(text: string): { minute?: number; what: What } {
  const said = SAY.exec(text) ?? ACTION.exec(text);
  if (said !== null) {
    const [, hours = '', minutes = '', nick = '', rest = ''] = said;
    const kind = text.startsWith('<', 8) ? 'say' : 'action';
    const minute = Number(hours) * 60 + Number(minutes);
    return { minute, what: kind === 'say' && rest === '' ? { kind: 'noise' } : { kind, nick, text: rest } };
  }
  const notice = NOTICE.exec(text);
  if (notice === null) return { what: { kind: 'noise' } };
  const [, nick = '', host, rest = ''] = notice;
  if (JOINED.test(rest)) return { what: { kind: 'join', nick } };
  if (LEFT.test(rest)) return { what: { kind: 'leave', nick } };
  const to = RENAMED.exec(rest)?.[1];
  if (to !== undefined) return { what: { kind: 'rename', nick, to } };
  // The log of 2004 writes `/me` like this. Notices of the server name a host, and say nothing else.
  return { what: host === undefined ? { kind: 'action', nick, text: rest } : { kind: 'noise' } };
}

/** Which earlier line each line answers: the last of them where there are several; links to itself are none. */
export function parseAnnotations(text: string): Map<number, number> {
  const answers = new Map<number, number>();
  for (const row of text.split('\n')) {
    const match = /^(\d+) (\d+) -\s*$/.exec(row);
    if (match === null) continue;
    const [a, b] = [Number(match[1]), Number(match[2])];
    if (a === b) continue;
    const [earlier, later] = a < b ? [a, b] : [b, a];
    answers.set(later, Math.max(earlier, answers.get(later) ?? -1));
  }
  return answers;
}
