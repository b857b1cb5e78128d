import { type DynamicModule, Module } from '@nestjs/common';
import type { InstanceId } from '@parley/contracts';
import { PORTS, readConfig, type Self, type ServiceContext } from '@parley/service-kit';
import { TicketVerifier } from '@parley/tickets';

import { ChatGateway } from './chat.gateway.js';
import { type ChatPorts, ChatService } from './chat.service.js';
import { chatSettings } from './config.js';

/** The composition of a chat server: every port by its token. */
@Module({})
export class ChatModule {
  static compose(): DynamicModule {
    return {
      module: ChatModule,
      providers: [
        ChatGateway,
        {
          provide: ChatService,
          inject: [
            PORTS.routing,
            PORTS.directoryLink,
            PORTS.presence,
            PORTS.discovery,
            PORTS.sessionRegistry,
            PORTS.frameBus,
            PORTS.eventBus,
            PORTS.rateLimiter,
            PORTS.ticketKey,
            PORTS.self,
            PORTS.context,
            PORTS.environment,
          ],
          useFactory: (
            routing: ChatPorts['routing'],
            directory: ChatPorts['directory'],
            presence: ChatPorts['presence'],
            discovery: ChatPorts['discovery'],
            sessions: ChatPorts['sessions'],
            frames: ChatPorts['frames'],
            bus: ChatPorts['bus'],
            limiter: ChatPorts['limiter'],
            key: string,
            { instanceId, address, version }: Self,
            context: ServiceContext,
            env: NodeJS.ProcessEnv,
          ) => {
            const serverId = `chat-${instanceId}` as InstanceId;
            const tickets = new TicketVerifier({ key, serverId, nowMs: () => context.clock.now() });
            return new ChatService(
              {
                serverId,
                address,
                version,
                routing,
                directory,
                presence,
                discovery,
                sessions,
                frames,
                bus,
                limiter,
                tickets,
                context,
              },
              readConfig(chatSettings, env),
            );
          },
        },
      ],
      exports: [ChatService],
    };
  }
}
