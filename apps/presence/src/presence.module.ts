import { type DynamicModule, Module } from '@nestjs/common';
import { PORTS, type ServiceContext } from '@parley/service-kit';

import { type PresencePorts, PresenceService } from './presence.service.js';

/** The composition of presence: every port by its token. */
@Module({})
export class PresenceModule {
  static compose(): DynamicModule {
    return {
      module: PresenceModule,
      providers: [
        {
          provide: PresenceService,
          inject: [PORTS.presenceStore, PORTS.eventBus, PORTS.frameBus, PORTS.context],
          useFactory: (
            store: PresencePorts['store'],
            bus: PresencePorts['bus'],
            frames: PresencePorts['frames'],
            context: ServiceContext,
          ) => new PresenceService({ store, bus, frames, context }),
        },
      ],
      exports: [PresenceService],
    };
  }
}
