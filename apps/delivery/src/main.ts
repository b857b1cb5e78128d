import 'reflect-metadata';

import { runService } from '@parley/adapters';

import { DeliveryModule } from './delivery.module.js';
import { DeliveryService } from './delivery.service.js';

await runService({
  service: 'delivery',
  needs: ['conversationLog', 'eventBus', 'frameBus', 'sessionRegistry', 'chatServers', 'links', 'directoryLink'],
  module: DeliveryModule.compose(),
  async start({ app, serve, register }) {
    const delivery = app.get(DeliveryService);
    serve('delivery', delivery);
    await register();
    await delivery.start();
    return delivery;
  },
});
