import { type DynamicModule, Module } from '@nestjs/common';
import { PORTS, readConfig, type ServiceContext } from '@parley/service-kit';

import { routingSettings } from './config.js';
import { afterThisTurn, type RoutingPorts, RoutingService } from './routing.service.js';

/** The composition of routing: every port by its token. */
@Module({})
export class RoutingModule {
  static compose(): DynamicModule {
    return {
      module: RoutingModule,
      providers: [
        {
          provide: RoutingService,
          inject: [
            PORTS.conversationLog,
            PORTS.eventBus,
            PORTS.directoryLink,
            PORTS.rateLimiter,
            PORTS.context,
            PORTS.environment,
          ],
          useFactory: (
            log: RoutingPorts['log'],
            bus: RoutingPorts['bus'],
            directory: RoutingPorts['directory'],
            limiter: RoutingPorts['limiter'],
            context: ServiceContext,
            env: NodeJS.ProcessEnv,
          ) =>
            new RoutingService(
              { log, bus, directory, limiter, context, later: afterThisTurn },
              readConfig(routingSettings, env),
            ),
        },
      ],
      exports: [RoutingService],
    };
  }
}
