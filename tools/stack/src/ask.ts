import { connect } from 'node:net';

const ANSWER_WITHIN_MS = 2_000;
const ANSWER_MAX_BYTES = 1 << 20;

/**
 * Connects, sends, and reads until `parse` makes something of all that came. Rejects when refused, silent or too long.
 * Each engine is asked in its own protocol: one that only accepts connections may be far from working.
 */
export function ask<T>(
  { host, port }: { readonly host: string; readonly port: number },
  request: Uint8Array | string,
  parse: (received: Buffer, send: (more: Uint8Array) => void) => T | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    let received = Buffer.alloc(0);
    const end = (): void => {
      clearTimeout(timer);
      socket.destroy();
    };
    const fail = (why: Error): void => {
      end();
      reject(why);
    };
    const late = new Error(`${host}:${port} did not answer within ${ANSWER_WITHIN_MS} ms`);
    const timer = setTimeout(() => fail(late), ANSWER_WITHIN_MS);
    socket.once('connect', () => socket.write(request));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      try {
        const answer = parse(received, (more) => socket.write(more));
        if (answer !== undefined) {
          end();
          resolve(answer);
        } else if (received.length > ANSWER_MAX_BYTES) fail(new Error(`${host}:${port} answers without an end`));
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.once('error', fail);
    socket.once('close', () => fail(new Error(`${host}:${port} closed the connection`)));
  });
}
