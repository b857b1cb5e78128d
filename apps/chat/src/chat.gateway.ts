import type { INestApplicationContext } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { type OnGatewayInit, WebSocketGateway } from '@nestjs/websockets';
import type { Server, Socket } from 'socket.io';

import { ChatService } from './chat.service.js';

/**
 * Where Nest and Socket.IO meet. Nest owns the server's lifecycle; it stays off the path of a message: its per-socket
 * subscriptions double the memory of a connection and triple the cost of an event (docs/adr), so the adapter below
 * leaves them out and sockets are bound by the chat service's own dispatcher.
 */
@WebSocketGateway()
export class ChatGateway implements OnGatewayInit<Server> {
  constructor(private readonly chat: ChatService) {}

  afterInit(server: Server): void {
    server.on('connection', (socket: Socket) => this.chat.socketIo.bind(socket as never));
  }
}

export class ChatSocketAdapter extends IoAdapter {
  constructor(
    app: INestApplicationContext,
    private readonly chat: ChatService,
  ) {
    super(app);
  }

  override create(): Server {
    return this.chat.socketIo.io as never;
  }

  override bindClientConnect(): void {}

  override bindMessageHandlers(): void {}

  /** The chat service closes it, after its sessions have been told. */
  override async close(): Promise<void> {}
}
