import { createHash } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { resolve as absolute } from 'node:path';

/**
 * Does the work while nobody else on this machine does any under the same path. The lock is a socket in Linux's abstract
 * namespace: the kernel takes it away with the process that held it, so there is no stale lock to find and to judge, and
 * who waits is told of the end by the connection's end.
 */
export async function exclusive<T>(path: string, work: () => Promise<T>): Promise<T> {
  const digest = createHash('sha256').update(absolute(path)).digest('hex').slice(0, 32);
  const name = `\0parley-stack-${digest}`;
  for (;;) {
    const release = await acquire(name);
    if (release === undefined) {
      await untilReleased(name);
      continue;
    }
    try {
      return await work();
    } finally {
      await release();
    }
  }
}

/** How to give it back; undefined if somebody else has it. */
function acquire(name: string): Promise<(() => Promise<void>) | undefined> {
  return new Promise((resolve, reject) => {
    const waiting = new Set<Socket>();
    const server: Server = createServer((socket) => {
      waiting.add(socket);
      socket.once('error', () => socket.destroy()); // who waited has ended
      socket.once('close', () => waiting.delete(socket));
    });
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen({ path: name, exclusive: true }, () => {
      resolve(
        () =>
          new Promise((done) => {
            server.close(() => done());
            for (const socket of waiting) socket.destroy();
          }),
      );
    });
  });
}

function untilReleased(name: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ path: name });
    socket.once('error', () => socket.destroy()); // released in between: refused, or reset
    socket.once('close', () => resolve());
    socket.resume();
  });
}
