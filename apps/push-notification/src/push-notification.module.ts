import { type DynamicModule, Module } from '@nestjs/common';
import { PORTS, type ServiceContext } from '@parley/service-kit';

import { type PushNotificationPorts, PushNotificationService } from './push-notification.service.js';

/** The composition of push notifications: every port by its token. */
@Module({})
export class PushNotificationModule {
  static compose(): DynamicModule {
    return {
      module: PushNotificationModule,
      providers: [
        {
          provide: PushNotificationService,
          inject: [PORTS.eventBus, PORTS.context],
          useFactory: (bus: PushNotificationPorts['bus'], context: ServiceContext) =>
            new PushNotificationService({ bus, context }),
        },
      ],
      exports: [PushNotificationService],
    };
  }
}
