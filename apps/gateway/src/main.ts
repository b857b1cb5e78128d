import 'reflect-metadata';

import { runService } from '@parley/adapters';
import { readConfig } from '@parley/service-kit';

import { publicPortSettings } from './config.js';
import { GatewayModule } from './gateway.module.js';
import { GatewayService } from './gateway.service.js';

await runService({
  service: 'gateway',
  needs: [
    'directory',
    'conversationLog',
    'eventBus',
    'frameBus',
    'rateLimiter',
    'headCache',
    'links',
    'routing',
    'ticketKey',
  ],
  module: GatewayModule.compose(),
  async start({ app, env, serve }) {
    const { PARLEY_PORT, PARLEY_HOST } = readConfig(publicPortSettings, env);
    const gateway = app.get(GatewayService);
    serve('directory', gateway.link);
    // Registers by itself, before the public port opens: the others need the directory first.
    await gateway.start();
    await gateway.open(PARLEY_PORT, PARLEY_HOST);
    return gateway;
  },
});
