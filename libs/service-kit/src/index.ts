export { type Clock, ManualClock, systemClock, type Timer } from './clock.js';
export { ConfigError, intSetting, readConfig, switchSetting } from './config.js';
export { closeServer, type InternalServer, listen, portOf, Readiness, startInternalServer } from './internal-server.js';
export { createLogger, type Logger, silentLogger } from './logging.js';
export { Metrics } from './metrics.js';
export type { ServiceContext } from './service-context.js';
export { Tracing, type TraceSpan } from './tracing.js';
export { PORTS, type Self } from './tokens.js';
