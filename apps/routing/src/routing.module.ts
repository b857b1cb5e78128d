import { type DynamicModule, Module } from '@nestjs/common';
import type { InstanceId } from '@parley/contracts';
import type { Watch } from '@parley/discovery';
import { PORTS, readConfig, type Self, type ServiceContext } from '@parley/service-kit';

import { routingSettings } from './config.js';
import { afterThisTurn, type RoutingPorts, RoutingService } from './routing.service.js';
import { Writers } from './writers.js';

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
            PORTS.deliveryLink,
            PORTS.rateLimiter,
            PORTS.headCache,
            PORTS.routingServers,
            PORTS.self,
            PORTS.context,
            PORTS.environment,
          ],
          useFactory: (
            log: RoutingPorts['log'],
            bus: RoutingPorts['bus'],
            directory: RoutingPorts['directory'],
            delivery: RoutingPorts['delivery'],
            limiter: RoutingPorts['limiter'],
            headCache: RoutingPorts['headCache'],
            instances: Watch,
            { instanceId, epoch }: Self,
            context: ServiceContext,
            env: NodeJS.ProcessEnv,
          ) => {
            const writers = new Writers({ instanceId: `routing-${instanceId}` as InstanceId, epoch }, instances);
            return new RoutingService(
              { log, bus, directory, delivery, limiter, headCache, writers, context, later: afterThisTurn },
              readConfig(routingSettings, env),
            );
          },
        },
      ],
      exports: [RoutingService],
    };
  }
}
