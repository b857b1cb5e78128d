export { type PresenceConfig, presenceSettings } from './config.js';
export { PresenceService } from './presence.service.js';
export { PresenceModule } from './presence.module.js';
