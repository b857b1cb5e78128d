import { once } from 'node:events';

import { WebSocket } from 'ws';

import type { SessionAddress } from './session.js';

const WAIT_MS = 5_000;

/** Frames as they are on the wire (Engine.IO 4 and Socket.IO 5 packets), for clients that do not keep to the protocol. */
export class RawSocket {
  readonly frames: string[] = [];
  readonly closed: Promise<number>;
  readonly webSocket: WebSocket;
  readonly #waiting = new Set<() => void>();
  #acks = 0;

  private constructor(webSocket: WebSocket) {
    this.webSocket = webSocket;
    this.closed = new Promise((resolve) => webSocket.once('close', resolve));
    webSocket.on('message', (data: Buffer) => {
      const frame = data.toString();
      // Engine.IO's heartbeat: without the answer the server takes the client for dead.
      if (frame === '2') webSocket.send('3');
      this.frames.push(frame);
      for (const look of [...this.#waiting]) look();
    });
    webSocket.on('error', () => undefined);
  }

  static async open({ url, path }: Pick<SessionAddress, 'url' | 'path'>): Promise<RawSocket> {
    const webSocket = new WebSocket(`${url.replace(/^http/, 'ws')}${path}/?EIO=4&transport=websocket`);
    const socket = new RawSocket(webSocket);
    await once(webSocket, 'open');
    await socket.frame((frame) => frame.startsWith('0'));
    return socket;
  }

  /** A connection that the server accepted the ticket of. */
  static async session(address: SessionAddress): Promise<RawSocket> {
    const socket = await RawSocket.open(address);
    socket.send(`40${JSON.stringify({ ticket: address.ticket })}`);
    await socket.frame((frame) => frame.startsWith('42["session.ready"'));
    return socket;
  }

  send(frame: string): void {
    this.webSocket.send(frame);
  }

  /** Sends an event; resolves with its acknowledgement. */
  async ask(event: string, payload: string): Promise<Record<string, unknown>> {
    this.#acks += 1;
    const prefix = `43${this.#acks}[`;
    this.send(`42${this.#acks}[${JSON.stringify(event)},${payload}]`);
    const answer = await this.frame((frame) => frame.startsWith(prefix));
    return (JSON.parse(answer.slice(prefix.length - 1)) as [Record<string, unknown>])[0];
  }

  frame(matches: (frame: string) => boolean): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.frames.find(matches);
        if (found === undefined) return;
        this.#waiting.delete(look);
        clearTimeout(late);
        resolve(found);
      };
      const late = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`No such frame; arrived:\n${this.frames.map((frame) => frame.slice(0, 200)).join('\n')}`));
      }, WAIT_MS);
      this.#waiting.add(look);
      look();
    });
  }

  close(): void {
    this.webSocket.terminate();
  }
}
