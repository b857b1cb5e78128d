import { type DynamicModule, Module } from '@nestjs/common';
import type { InstanceId } from '@parley/contracts';
import { PORTS, readConfig, type Self, type ServiceContext } from '@parley/service-kit';

import { gatewaySettings } from './config.js';
import { type GatewayPorts, GatewayService } from './gateway.service.js';

/** The composition of the gateway: every port by its token. */
@Module({})
export class GatewayModule {
  static compose(): DynamicModule {
    return {
      module: GatewayModule,
      providers: [
        {
          provide: GatewayService,
          inject: [
            PORTS.directory,
            PORTS.conversationLog,
            PORTS.headCache,
            PORTS.eventBus,
            PORTS.frameBus,
            PORTS.rateLimiter,
            PORTS.discovery,
            PORTS.links,
            PORTS.routing,
            PORTS.ticketKey,
            PORTS.self,
            PORTS.end,
            PORTS.context,
            PORTS.environment,
          ],
          useFactory: (
            directory: GatewayPorts['directory'],
            log: GatewayPorts['log'],
            headCache: GatewayPorts['headCache'],
            bus: GatewayPorts['bus'],
            frames: GatewayPorts['frames'],
            limiter: GatewayPorts['limiter'],
            discovery: GatewayPorts['discovery'],
            links: GatewayPorts['links'],
            routing: GatewayPorts['routing'],
            ticketKey: string,
            { instanceId, address, region, version }: Self,
            end: GatewayPorts['end'],
            context: ServiceContext,
            env: NodeJS.ProcessEnv,
          ) =>
            new GatewayService(
              {
                instanceId: `gateway-${instanceId}` as InstanceId,
                address,
                region,
                version,
                end,
                directory,
                log,
                headCache,
                bus,
                frames,
                limiter,
                discovery,
                links,
                routing,
                ticketKey,
                context,
              },
              readConfig(gatewaySettings, env),
            ),
        },
      ],
      exports: [GatewayService],
    };
  }
}
