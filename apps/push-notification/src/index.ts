export { PushNotificationService } from './push-notification.service.js';
export { PushNotificationModule } from './push-notification.module.js';
