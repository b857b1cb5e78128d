import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';

import { BUNDLED_LOGS } from './bundled-logs.js';
import { type LogLine, parseAnnotations, parseLog } from './irc-log.js';

const parse = (text: string): LogLine[] => parseLog(Buffer.from(text));

describe('parseLog', () => {
  it('reads what is said and done', () => {
    expect(parse('[12:18] <|trey|> usual, quite  \n[12:19]  * ngnp trying\n[12:20]  * homejoe\n')).toEqual([
      { line: 0, minute: 738, kind: 'say', nick: '|trey|', text: 'usual, quite  ' },
      { line: 1, minute: 739, kind: 'action', nick: 'ngnp', text: 'trying' },
      { line: 2, minute: 740, kind: 'action', nick: 'homejoe', text: '' },
    ]);
  });

  it('reads who comes, goes and changes name, and actions in the form of 2004', () => {
    const lines = parse(
      [
        '=== tvon [tvon@dsl.example]  has joined #ubuntu',
        '=== Golo [~Golo@cable.example]  has left #ubuntu ["Abandonando"]',
        '=== Bo [~b@host]  has quit ["has joined #x"]',
        '=== usual is now known as ubuntor',
        '=== ogra has joined the dark side',
      ].join('\n'),
    );
    expect(lines.map(({ line: _line, minute: _minute, ...what }) => what)).toEqual([
      { kind: 'join', nick: 'tvon' },
      { kind: 'leave', nick: 'Golo' },
      { kind: 'leave', nick: 'Bo' },
      { kind: 'rename', nick: 'usual', to: 'ubuntor' },
      { kind: 'action', nick: 'ogra', text: 'has joined the dark side' },
    ]);
  });

  it('survives any bytes: what is not UTF-8, control characters, other line ends, endless lines', () => {
    const bytes = Buffer.concat([
      Buffer.from('[00:01] <a> '),
      Buffer.from([0xff, 0xfe, 0x00, 0x1b, 0x0b, 0xc3]),
      Buffer.from('\u2028x\r\n\n[99:99] <b> odd time\n<no time>\n'),
      Buffer.alloc(100_000, 'y'),
    ]);
    const lines = parseLog(bytes);
    expect(lines.map((line) => line.kind)).toEqual(['say', 'noise', 'say', 'noise', 'noise']);
    expect(lines[0]).toMatchObject({ text: '\ufffd\ufffd\u0000\u001b\u000b\ufffd\u2028x' });
    let state = 1;
    const random = Uint8Array.from({ length: 65_536 }, () => (state = (state * 48_271) % 2_147_483_647) & 0xff);
    expect(() => parseLog(random)).not.toThrow();
  });

  it.each(BUNDLED_LOGS)('accounts for all 1,250 lines of $log', ({ log }) => {
    const lines = parseLog(readFileSync(log));
    expect(lines).toHaveLength(1_250);
    expect(lines.every((line, index) => line.line === index)).toBe(true);
    expect(lines.filter((line) => line.kind === 'noise')).toEqual([]);
  });
});

describe('parseAnnotations', () => {
  it('keeps the last answered line, in either order, and no link to itself', () => {
    expect(parseAnnotations('1 5 -\n3 5 -\n7 7 -\n9 8 -\nnonsense\n')).toEqual(
      new Map([
        [5, 3],
        [9, 8],
      ]),
    );
  });

  it.each(BUNDLED_LOGS)('links lines of $annotations to earlier ones', ({ annotations }) => {
    const answers = parseAnnotations(readFileSync(annotations, 'utf8'));
    expect(answers.size).toBeGreaterThan(180);
    for (const [later, earlier] of answers) expect(earlier).toBeLessThan(later);
  });
});
