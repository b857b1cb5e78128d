import type { Socket } from 'node:net';

import * as ws from 'ws';

/** Options of one frame (RFC 6455 section 5.2). */
interface FrameOptions {
  readonly fin: boolean;
  readonly opcode: number;
  readonly mask: boolean;
  readonly readOnly: boolean;
  readonly rsv1: boolean;
}

interface SenderInstance {
  readonly _socket: Socket;
  sendFrame(parts: readonly (Buffer | string)[], sent?: (error?: Error) => void): void;
}

/** `ws` exports its frame writer, but its types do not know of it. */
export const Sender = (ws as unknown as { readonly Sender: unknown }).Sender as {
  new (socket: Socket): SenderInstance;
  frame(data: Buffer, options: FrameOptions): Buffer[];
};
