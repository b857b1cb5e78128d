import { presenceSettings } from '@parley/presence';
import { intSetting } from '@parley/service-kit';
import { z } from 'zod';

export const standaloneSettings = presenceSettings.extend({
  /** The public port. */
  PARLEY_PORT: intSetting(8_080, 0, 65_535),
  /** Where it listens; all addresses unless restricted. */
  PARLEY_HOST: z.string().min(1).optional(),
  /** `/healthz`, `/readyz`, `/metrics`. Unless it is set: the next port after the public one, or any if that is taken. */
  PARLEY_INTERNAL_PORT: intSetting(-1, -1, 65_535),
  PARLEY_INTERNAL_HOST: z.string().min(1).default('127.0.0.1'),
  PARLEY_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  PARLEY_RATE_LIMITS: z.enum(['on', 'off']).default('on'),
  /** OTLP over HTTP; traces are made only when it is set. */
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url().optional(),
});
export type StandaloneConfig = z.output<typeof standaloneSettings>;
