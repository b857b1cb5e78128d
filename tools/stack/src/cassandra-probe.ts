import { ask } from './ask.js';

/** How many nodes must answer: ONE, TWO, THREE, as the native protocol numbers them. */
export const CONSISTENCIES = [0x01, 0x02, 0x03] as const;

/** A table that Cassandra itself keeps on three nodes, or on all if there are fewer. */
const QUERY = 'SELECT view_name FROM system_distributed.view_build_status LIMIT 1';

const VERSION = 0x04;
const HEADER_BYTES = 9;
const OPCODE = { error: 0x00, startup: 0x01, ready: 0x02, query: 0x07, result: 0x08 } as const;

/** Asks over CQL's native protocol; rejects with the node's own words if it cannot. */
export async function queryAt(
  address: { readonly host: string; readonly port: number },
  consistency: (typeof CONSISTENCIES)[number],
): Promise<void> {
  const startup = frame(OPCODE.startup, Buffer.concat([short(1), string('CQL_VERSION'), string('3.0.0')]));
  const text = Buffer.from(QUERY);
  const query = frame(OPCODE.query, Buffer.concat([int(text.length), text, short(consistency), Buffer.from([0])]));
  let asked = false;
  await ask(address, startup, (received, send) => {
    for (const { opcode, body } of framesOf(received)) {
      if (opcode === OPCODE.error) throw new Error(`${address.host}:${address.port}: ${body.subarray(6).toString()}`);
      if (opcode === OPCODE.result) return true;
      if (opcode === OPCODE.ready && !asked) {
        asked = true;
        send(query);
      }
    }
    return undefined;
  });
}

function* framesOf(received: Buffer): Generator<{ readonly opcode: number; readonly body: Buffer }> {
  for (let at = 0; at + HEADER_BYTES <= received.length;) {
    const end = at + HEADER_BYTES + received.readInt32BE(at + 5);
    if (end > received.length) return;
    yield { opcode: received.readUInt8(at + 4), body: received.subarray(at + HEADER_BYTES, end) };
    at = end;
  }
}

function frame(opcode: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([VERSION, 0, 0, 0, opcode]), int(body.length), body]);
}

function short(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function string(text: string): Buffer {
  return Buffer.concat([short(Buffer.byteLength(text)), Buffer.from(text)]);
}
