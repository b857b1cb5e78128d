import { describe, expect, it } from '@jest/globals';
import { TextContent } from '@parley/contracts';
import { readFileSync } from 'node:fs';

import { BUNDLED_LOGS } from './bundled-logs.js';
import { parseAnnotations, parseLog } from './irc-log.js';
import { type Script, writeScript } from './script.js';

function script(text: string, answers: ReadonlyMap<number, number> = new Map()): Script {
  return writeScript(parseLog(Buffer.from(text)), answers);
}
const told = ({ steps, roster }: Script): string[] =>
  steps.map((step) => `${roster[step.role]?.nick}/${roster[step.role]?.generation} ${step.kind}`);

describe('writeScript', () => {
  it('lets who was there before the log join first', () => {
    expect(told(script('[10:00] <a> hi\n=== b [h]  has left #x []\n=== A [h]  has joined #x\n'))).toEqual([
      'a/1 join',
      'a/1 send',
      'b/1 join',
      'b/1 leave',
    ]);
  });

  it('keeps the person through renames, and takes a nick seen again for somebody else', () => {
    const text = '[10:00] <a> 1\n=== a is now known as b\n[10:00] <b> 2\n[10:00] <a> 3\n=== b is now known as c\n';
    expect(told(script(text))).toEqual([
      'a/1 join',
      'a/1 send',
      'a/1 rename',
      'a/1 send',
      'a/2 join',
      'a/2 send',
      'a/1 rename',
    ]);
  });

  it('makes a reply of an answer to a line that was a message', () => {
    const text = '[10:00] <a> 1\n=== a is now known as b\n[10:00] <b> 2\n[10:00] <b> 3\n';
    const answers = new Map([
      [2, 0],
      [3, 1],
    ]);
    const sends = script(text, answers).steps.filter((step) => step.kind === 'send');
    expect(sends.map((step) => ('answers' in step ? step.answers : undefined))).toEqual([undefined, 0, undefined]);
  });

  it('spreads the lines of a minute over it, passes midnight and never runs back', () => {
    const text = '[23:59] <a> 1\n[23:59] <a> 2\n[00:00] <a> 3\n[23:59] <a> late\n[00:02] <a> 4\n';
    const sends = script(text).steps.filter((step) => step.kind === 'send');
    expect(sends.map((step) => step.atMs)).toEqual([0, 30_000, 60_000, 90_000, 180_000]);
  });

  it.each(BUNDLED_LOGS)('plays every message of $log as text that the contract accepts, in order of time', (files) => {
    const lines = parseLog(readFileSync(files.log));
    const { steps } = writeScript(lines, parseAnnotations(readFileSync(files.annotations, 'utf8')));
    const sends = steps.filter((step) => step.kind === 'send');
    expect(sends).toHaveLength(lines.filter((line) => line.kind === 'say' || line.kind === 'action').length);
    expect(sends.filter((step) => 'answers' in step).length).toBeGreaterThan(150);
    for (const step of sends) expect(TextContent.safeParse({ type: 'text', text: step.text }).success).toBe(true);
    steps.reduce((before, { atMs }) => {
      expect(atMs).toBeGreaterThanOrEqual(before);
      return atMs;
    }, 0);
  });
});
