import 'reflect-metadata';

import { runService } from '@parley/adapters';

import { PushNotificationModule } from './push-notification.module.js';
import { PushNotificationService } from './push-notification.service.js';

await runService({
  service: 'push-notification',
  needs: ['eventBus'],
  module: PushNotificationModule.compose(),
  async start({ app, register }) {
    const push = app.get(PushNotificationService);
    await push.start();
    await register();
    return push;
  },
});
