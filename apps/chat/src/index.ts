export { ChatGateway, ChatSocketAdapter } from './chat.gateway.js';
export { type ChatPorts, ChatService } from './chat.service.js';
export { type ChatConfig, chatSettings } from './config.js';
export { ChatModule } from './chat.module.js';
