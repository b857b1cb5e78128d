import type { Clock } from './clock.js';
import type { Readiness } from './internal-server.js';
import type { Logger } from './logging.js';
import type { Metrics } from './metrics.js';
import type { Tracing } from './tracing.js';

/** What every part of a service may need; passed in whole, so that constructors stay short. */
export interface ServiceContext {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly readiness: Readiness;
}
