import { intSetting, switchSetting } from '@parley/service-kit';
import { z } from 'zod';

import { OutsideIssuer } from './accounts/outside-issuers.js';

const issuers = z
  .string()
  .default('[]')
  .transform((text, check) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      check.addIssue({ code: 'custom', message: 'must be JSON' });
      return z.NEVER;
    }
  })
  .pipe(z.array(OutsideIssuer.partial({ workspaceId: true })));

export const gatewaySettings = z.object({
  /** The URL under which clients reach the gateway; by default what their request said. */
  PARLEY_PUBLIC_URL: z.url().optional(),
  /** Reverse proxies in front, whose `X-Forwarded-For` and `-Proto` are believed. */
  PARLEY_TRUSTED_PROXIES: intSetting(0, 0, 10),
  /** `closed`: accounts come from one's own issuer only. */
  PARLEY_REGISTRATION: z.enum(['open', 'closed']).default('open'),
  PARLEY_ACCESS_TOKEN_TTL_S: intSetting(3_600, 1, 86_400),
  PARLEY_REFRESH_TOKEN_TTL_S: intSetting(30 * 86_400, 60, 365 * 86_400),
  /** `iss` of our own access tokens. */
  PARLEY_TOKEN_ISSUER: z.string().min(1).default('parley'),
  /** Outside OIDC issuers, as JSON: [{"issuer", "audience", "jwksUri"?, "workspaceId"?, "usernameClaim"?}]. */
  PARLEY_OIDC_ISSUERS: issuers,
  /** Members of a group; larger circles are channels. */
  PARLEY_GROUP_MEMBERS_MAX: intSetting(100, 2, 1_000),
  /** `off` for load tests. */
  PARLEY_RATE_LIMITS: switchSetting('on'),
  PARLEY_REQUESTS_PER_SECOND: intSetting(100, 1, 1_000_000),
  PARLEY_REQUESTS_BURST: intSetting(1_000, 1, 1_000_000),
  /** Messages, edits and reactions of one person over REST. */
  PARLEY_SENDS_PER_SECOND: intSetting(50, 1, 1_000_000),
  PARLEY_SENDS_BURST: intSetting(500, 1, 1_000_000),
  /** Registrations, sign-ins and refreshes from one address. */
  PARLEY_SIGN_INS_PER_SECOND: intSetting(10, 1, 1_000_000),
  PARLEY_SIGN_INS_BURST: intSetting(300, 1, 1_000_000),
  /** Failed sign-ins of one account: this many, then one a minute. */
  PARLEY_FAILED_SIGN_INS_BURST: intSetting(10, 1, 1_000),
});
export type GatewayConfig = z.output<typeof gatewaySettings>;

export const publicPortSettings = z.object({
  /** The public port. */
  PARLEY_PORT: intSetting(8_080, 0, 65_535),
  /** Where it listens; all addresses unless restricted. */
  PARLEY_HOST: z.string().min(1).optional(),
});
