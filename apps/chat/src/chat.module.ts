import { type DynamicModule, Module } from '@nestjs/common';
import type { InstanceId } from '@parley/contracts';
import { PORTS, readConfig, type Self, type ServiceContext } from '@parley/service-kit';
import { TicketIssuer, TicketVerifier } from '@parley/tickets';

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
            PORTS.end,
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
            { instanceId, address, doorAddress, region, version }: Self,
            end: ChatPorts['end'],
            context: ServiceContext,
            env: NodeJS.ProcessEnv,
          ) => {
            const serverId = `chat-${instanceId}` as InstanceId;
            const nowMs = (): number => context.clock.now();
            const tickets = new TicketVerifier({ key, serverId, nowMs });
            const ticketIssuer = new TicketIssuer({ key, nowMs });
            return new ChatService(
              {
                serverId,
                address,
                doorAddress,
                region,
                version,
                end,
                routing,
                directory,
                presence,
                discovery,
                sessions,
                frames,
                bus,
                limiter,
                tickets,
                ticketIssuer,
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
