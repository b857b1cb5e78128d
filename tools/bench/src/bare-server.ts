import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Socket } from 'node:net';
import * as ws from 'ws';

/**
 * The generator's own ceiling: the least that a server can do for the same traffic. It keeps nothing, checks nothing
 * and parses nothing; what it does is read a frame, acknowledge it and copy it to the other sockets of a room, which
 * is the one that the ticket names. A copy is framed once and written to each socket below `ws`, which is what a fast
 * server would do. Prints its port.
 */
const READY = '42["session.ready",{}]';
const OPEN = '0{"sid":"bare","upgrades":[],"pingInterval":3600000,"pingTimeout":3600000,"maxPayload":1000000}';
const BODY_AT = '["message.send",';

const rooms = new Map<string, Set<Socket>>();
const http = createServer();
const sockets = new ws.WebSocketServer({ server: http, perMessageDeflate: false });

sockets.on('connection', (socket, request) => {
  const below = request.socket;
  let room: Set<Socket> | undefined;
  socket.on('message', (raw: Buffer) => {
    const text = raw.toString('latin1');
    if (text.startsWith('42')) {
      const bodyAt = text.indexOf(BODY_AT);
      socket.send(`43${text.slice(2, bodyAt)}[{"ok":true}]`);
      const event = Buffer.from(`42["message.new",${text.slice(bodyAt + BODY_AT.length)}`);
      const frame = frameOf(event);
      for (const other of room ?? []) if (other !== below) other.write(frame);
    } else if (text.startsWith('40')) {
      room = rooms.get(text) ?? new Set();
      rooms.set(text, room);
      room.add(below);
      socket.send(READY);
    }
  });
  socket.on('error', () => socket.terminate());
  socket.on('close', () => room?.delete(below));
  socket.send(OPEN);
});

/** `ws` exports its framing, its types do not. */
function frameOf(payload: Buffer): Buffer {
  const { Sender } = ws as unknown as { Sender: { frame(data: Buffer, options: object): Buffer[] } };
  return Buffer.concat(Sender.frame(payload, { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false }));
}

http.listen(0, '127.0.0.1', () => process.stdout.write(`${(http.address() as AddressInfo).port}\n`));
