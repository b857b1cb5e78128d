export { type AdapterConfig, adapterSettings, type ProcessConfig, processSettings } from './config.js';
export { type Adapters, openAdapters } from './open.js';
export { type Plan, planAdapters, planEngines, type PortName } from './plan.js';
export { PortsModule, runService, type Runtime, type ServiceDefinition } from './run-service.js';
