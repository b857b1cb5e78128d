import 'reflect-metadata';

import { runService } from '@parley/adapters';

import { PresenceModule } from './presence.module.js';
import { PresenceService } from './presence.service.js';

await runService({
  service: 'presence',
  needs: ['presenceStore', 'eventBus', 'frameBus'],
  module: PresenceModule.compose(),
  async start({ app, serve, register }) {
    const presence = app.get(PresenceService);
    serve('presence', presence);
    await presence.start();
    await register();
    return presence;
  },
});
