import 'reflect-metadata';

import { runService } from '@parley/adapters';

import { ChatSocketAdapter } from './chat.gateway.js';
import { ChatModule } from './chat.module.js';
import { ChatService } from './chat.service.js';

await runService({
  service: 'chat',
  needs: [
    'routing',
    'directoryLink',
    'presence',
    'sessionRegistry',
    'frameBus',
    'eventBus',
    'rateLimiter',
    'ticketKey',
  ],
  module: ChatModule.compose(),
  async start({ app, serve }) {
    const chat = app.get(ChatService);
    app.useWebSocketAdapter(new ChatSocketAdapter(app, chat));
    await app.init();
    serve('chat', chat);
    serve('chatDoor', chat);
    // Registers by itself: what it tells the others changes every second.
    await chat.start();
    return chat;
  },
});
