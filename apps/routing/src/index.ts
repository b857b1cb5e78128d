export { type RoutingConfig, routingSettings } from './config.js';
export { RoutingService } from './routing.service.js';
export { RoutingModule } from './routing.module.js';
