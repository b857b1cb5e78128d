import { type DynamicModule, Module } from '@nestjs/common';
import { PortsModule } from '@parley/adapters';
import { ChatModule } from '@parley/chat';
import { DeliveryModule } from '@parley/delivery';
import { GatewayModule } from '@parley/gateway';
import { PresenceModule } from '@parley/presence';
import { PushNotificationModule } from '@parley/push-notification';
import { RoutingModule } from '@parley/routing';

/** All six services in one process. They share nothing but ports and links. */
@Module({})
export class StandaloneModule {
  static compose(ports: ReadonlyMap<symbol, unknown>): DynamicModule {
    return {
      module: StandaloneModule,
      imports: [
        PortsModule.of(ports),
        GatewayModule.compose(),
        ChatModule.compose(),
        RoutingModule.compose(),
        DeliveryModule.compose(),
        PresenceModule.compose(),
        PushNotificationModule.compose(),
      ],
    };
  }
}
