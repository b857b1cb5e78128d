import { type DynamicModule, Module } from '@nestjs/common';
import { PORTS, readConfig, type ServiceContext } from '@parley/service-kit';

import { deliverySettings } from './config.js';
import { type DeliveryPorts, DeliveryService } from './delivery.service.js';

/** The composition of delivery: every port by its token. */
@Module({})
export class DeliveryModule {
  static compose(): DynamicModule {
    return {
      module: DeliveryModule,
      providers: [
        {
          provide: DeliveryService,
          inject: [
            PORTS.conversationLog,
            PORTS.eventBus,
            PORTS.frameBus,
            PORTS.sessionRegistry,
            PORTS.chatServers,
            PORTS.links,
            PORTS.directoryLink,
            PORTS.context,
            PORTS.environment,
          ],
          useFactory: (
            log: DeliveryPorts['log'],
            bus: DeliveryPorts['bus'],
            frames: DeliveryPorts['frames'],
            sessions: DeliveryPorts['sessions'],
            chatServers: DeliveryPorts['chatServers'],
            links: DeliveryPorts['links'],
            directory: DeliveryPorts['directory'],
            context: ServiceContext,
            env: NodeJS.ProcessEnv,
          ) =>
            new DeliveryService(
              { log, bus, frames, sessions, chatServers, links, directory, context },
              readConfig(deliverySettings, env),
            ),
        },
      ],
      exports: [DeliveryService],
    };
  }
}
