export { type GatewayConfig, gatewaySettings } from './config.js';
export { GatewayService } from './gateway.service.js';
export { GatewayModule } from './gateway.module.js';
