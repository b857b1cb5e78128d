/** RFC 6455 opcodes that a load generator meets. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A server frame larger than this is a bug of the server. */
const PAYLOAD_MAX_BYTES = 64 * 1024 * 1024;

/** Called for each whole frame; the bytes are valid only during the call. */
export type OnFrame = (opcode: number, bytes: Buffer, start: number, end: number) => void;

/**
 * Cuts a byte stream into unmasked server frames without copying: only a frame that is split over two reads is
 * gathered. Fragmented messages are refused; no server here sends them.
 */
export class FrameReader {
  #rest: Buffer | undefined;

  /** Reads `bytes[0, length)`. Throws RangeError on what is not a frame. */
  push(bytes: Buffer, length: number, onFrame: OnFrame): void {
    let input = bytes;
    let end = length;
    if (this.#rest !== undefined) {
      input = Buffer.concat([this.#rest, bytes.subarray(0, length)]);
      end = input.length;
      this.#rest = undefined;
    }
    let at = 0;
    while (end - at >= 2) {
      const first = input.readUInt8(at);
      const second = input.readUInt8(at + 1);
      if (first < 0x80 || (first & 0x70) !== 0) throw new RangeError('a fragmented or extended frame');
      if (second > 127) throw new RangeError('a masked frame from a server');
      const header = second < 126 ? 2 : second === 126 ? 4 : 10;
      if (end - at < header) break;
      const size =
        second < 126 ? second : second === 126 ? input.readUInt16BE(at + 2) : Number(input.readBigUInt64BE(at + 2));
      if (size > PAYLOAD_MAX_BYTES) throw new RangeError(`a frame of ${size} bytes`);
      if (end - at < header + size) break;
      onFrame(first & 0x0f, input, at + header, at + header + size);
      at += header + size;
    }
    if (at < end) this.#rest = Buffer.from(input.subarray(at, end));
  }
}

/**
 * One client frame. The mask is zero, which the protocol permits and which leaves the payload as it is: masking
 * protects proxies from hostile pages, and there are neither here.
 */
export function encodeFrame(opcode: number, payload: string): Buffer {
  const size = Buffer.byteLength(payload);
  const header = size < 126 ? 6 : size < 65_536 ? 8 : 14;
  const frame = Buffer.alloc(header + size);
  frame.writeUInt8(0x80 | opcode, 0);
  if (size < 126) {
    frame.writeUInt8(0x80 | size, 1);
  } else if (size < 65_536) {
    frame.writeUInt8(0x80 | 126, 1);
    frame.writeUInt16BE(size, 2);
  } else {
    frame.writeUInt8(0x80 | 127, 1);
    frame.writeBigUInt64BE(BigInt(size), 2);
  }
  frame.write(payload, header);
  return frame;
}
