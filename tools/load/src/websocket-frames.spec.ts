import { describe, expect, it } from '@jest/globals';
import * as ws from 'ws';

import { encodeFrame, FrameReader, OPCODE } from './websocket-frames.js';

function serverFrame(payload: string): Buffer {
  // `ws` frames as its servers do: the reader must understand what a real server writes.
  const { Sender } = ws as unknown as { Sender: { frame(data: Buffer, options: object): Buffer[] } };
  const options = { fin: true, opcode: OPCODE.text, mask: false, readOnly: true, rsv1: false };
  return Buffer.concat(Sender.frame(Buffer.from(payload), options));
}

function read(reader: FrameReader, bytes: Buffer): string[] {
  const texts: string[] = [];
  reader.push(bytes, bytes.length, (_opcode, source, start, end) => texts.push(source.toString('utf8', start, end)));
  return texts;
}

describe('FrameReader', () => {
  const payloads = ['', 'a', 'x'.repeat(125), 'y'.repeat(126), 'z'.repeat(65_535), 'ü'.repeat(40_000)];

  it('reads frames of every length form, several in one read', () => {
    const bytes = Buffer.concat(payloads.map(serverFrame));
    expect(read(new FrameReader(), bytes)).toEqual(payloads);
  });

  it('gathers frames that are cut at any byte', () => {
    const bytes = Buffer.concat([serverFrame('first'), serverFrame('q'.repeat(300)), serverFrame('last')]);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const reader = new FrameReader();
      const texts = [...read(reader, bytes.subarray(0, cut)), ...read(reader, bytes.subarray(cut))];
      expect(texts).toEqual(['first', 'q'.repeat(300), 'last']);
    }
  });

  it('refuses what a server may not send', () => {
    expect(() => read(new FrameReader(), Buffer.from([0x01, 0x00]))).toThrow(RangeError);
    expect(() => read(new FrameReader(), encodeFrame(OPCODE.text, 'masked'))).toThrow(RangeError);
  });
});

describe('encodeFrame', () => {
  it('marks every length form as masked, with a mask that changes nothing', () => {
    for (const size of [0, 125, 126, 65_535, 65_536]) {
      const frame = encodeFrame(OPCODE.text, 'p'.repeat(size));
      expect(frame.readUInt8(1) & 0x80).toBe(0x80);
      expect(frame.subarray(frame.length - size).toString()).toBe('p'.repeat(size));
    }
  });
});
