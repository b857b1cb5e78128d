export { type DeliveryConfig, deliverySettings } from './config.js';
export { DeliveryService } from './delivery.service.js';
export { DeliveryModule } from './delivery.module.js';
