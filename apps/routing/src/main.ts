import 'reflect-metadata';

import { runService } from '@parley/adapters';

import { RoutingModule } from './routing.module.js';
import { RoutingService } from './routing.service.js';

await runService({
  service: 'routing',
  needs: ['conversationLog', 'eventBus', 'directoryLink', 'deliveryLink', 'rateLimiter', 'headCache', 'routingServers'],
  module: RoutingModule.compose(),
  async start({ app, serve, register }) {
    const routing = app.get(RoutingService);
    serve('routing', routing);
    await register();
    await routing.start();
    return routing;
  },
});
