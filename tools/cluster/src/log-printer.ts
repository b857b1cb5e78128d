import type { LogLine } from './service-process.js';

const COLOURS = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];
const NAME_WIDTH = 'push-notification-1'.length;
const LEFT_OUT = new Set(['level', 'time', 'msg', 'service', 'pid', 'hostname']);

/** Lines of several processes on one terminal: who says it, when, how bad it is, and what about. */
export function logPrinter(
  write: (text: string) => void,
  colours: boolean,
): (name: string, line: LogLine | string) => void {
  const known = new Map<string, number>();
  return (name, line) => {
    const colour = known.get(name) ?? COLOURS[known.size % COLOURS.length] ?? 0;
    known.set(name, colour);
    const prefix = name.padEnd(NAME_WIDTH);
    write(`${colours ? `\u001b[${colour}m${prefix}\u001b[0m` : prefix} ${textOf(line)}\n`);
  };
}

function textOf(line: LogLine | string): string {
  if (typeof line === 'string') return line;
  const fields = Object.entries(line)
    .filter(([name]) => !LEFT_OUT.has(name))
    .map(([name, value]) => `${name}=${valueOf(value)}`);
  return [line.time.slice(11, 23), line.level.padEnd(5), line.msg, ...fields].join(' ');
}

function valueOf(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value) return JSON.stringify(value.message);
  return typeof value === 'string' && !/\s/.test(value) ? value : JSON.stringify(value);
}
