import { z } from 'zod';

/**
 * The one table of errors: HTTP status, and whether the same request may succeed later unchanged.
 * REST answers carry it as RFC 9457 problem details, socket acknowledgements as `{ok: false, error}`.
 */
export const ERRORS = {
  invalid: { status: 400, retryable: false, title: 'The request is not valid' },
  unauthenticated: { status: 401, retryable: false, title: 'Authentication is required' },
  token_expired: { status: 401, retryable: false, title: 'The token has expired' },
  forbidden: { status: 403, retryable: false, title: 'Not permitted' },
  not_found: { status: 404, retryable: false, title: 'Not found' },
  conflict: { status: 409, retryable: false, title: 'Conflict' },
  idempotency_conflict: { status: 409, retryable: false, title: 'The client id was used for another message' },
  too_large: { status: 413, retryable: false, title: 'Too large' },
  unsupported: { status: 415, retryable: false, title: 'Not supported' },
  rate_limited: { status: 429, retryable: true, title: 'Too many requests' },
  overloaded: { status: 503, retryable: true, title: 'Overloaded' },
  unavailable: { status: 503, retryable: true, title: 'Temporarily unavailable' },
  internal: { status: 500, retryable: true, title: 'Internal error' },
} as const satisfies Record<string, { status: number; retryable: boolean; title: string }>;

export type ErrorCode = keyof typeof ERRORS;
export const ErrorCode = z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]);

export const Issue = z.object({ path: z.string(), message: z.string() });
export type Issue = z.infer<typeof Issue>;

/** What a socket acknowledgement carries under `error`. */
export const ErrorBody = z.object({
  code: ErrorCode,
  message: z.string(),
  retryable: z.boolean(),
  requestId: z.string(),
  retryAfterMs: z.int().optional(),
  issues: z.array(Issue).optional(),
});
export type ErrorBody = z.infer<typeof ErrorBody>;

/** RFC 9457 problem details, `application/problem+json`. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: ErrorCode,
    retryable: z.boolean(),
    requestId: z.string(),
    retryAfterMs: z.int().optional(),
    issues: z.array(Issue).optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;

/** A refusal on its way to the border: plain data, so that it crosses links unchanged. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly issues?: readonly Issue[];
}

/** A refusal thrown inside a request; the border turns it into the answer. Everything else that is thrown is `internal`. */
export class ParleyError extends Error {
  readonly refusal: Refusal;

  constructor(code: ErrorCode, message: string, more: { retryAfterMs?: number; issues?: readonly Issue[] } = {}) {
    super(message);
    this.name = 'ParleyError';
    this.refusal = { code, message, ...more };
  }

  get code(): ErrorCode {
    return this.refusal.code;
  }

  static from(refusal: Refusal): ParleyError {
    return new ParleyError(refusal.code, refusal.message, {
      ...(refusal.retryAfterMs === undefined ? {} : { retryAfterMs: refusal.retryAfterMs }),
      ...(refusal.issues === undefined ? {} : { issues: refusal.issues }),
    });
  }
}

/** Something could not be reached, or did not answer in time; what was asked of it may have happened. */
export function isUnavailable(error: unknown): error is ParleyError {
  return error instanceof ParleyError && error.code === 'unavailable';
}

/** Something is away or has too much to do: it says nothing about what was asked, and passes. */
export function isPassing(error: unknown): error is ParleyError {
  return error instanceof ParleyError && (error.code === 'unavailable' || error.code === 'overloaded');
}

/** What a border answers for anything that was thrown: a refusal as it is, everything else as `internal`, without a word of it. */
export function refusalOf(error: unknown, otherwise: string): Refusal {
  return error instanceof ParleyError ? error.refusal : { code: 'internal', message: otherwise };
}

export function toErrorBody(refusal: Refusal, requestId: string): ErrorBody {
  return {
    code: refusal.code,
    message: refusal.message,
    retryable: ERRORS[refusal.code].retryable,
    requestId,
    ...(refusal.retryAfterMs === undefined ? {} : { retryAfterMs: refusal.retryAfterMs }),
    ...(refusal.issues === undefined ? {} : { issues: [...refusal.issues] }),
  };
}

export function toProblem(refusal: Refusal, requestId: string): Problem {
  const { status, retryable, title } = ERRORS[refusal.code];
  return {
    type: `urn:parley:error:${refusal.code}`,
    title,
    status,
    detail: refusal.message,
    code: refusal.code,
    retryable,
    requestId,
    ...(refusal.retryAfterMs === undefined ? {} : { retryAfterMs: refusal.retryAfterMs }),
    ...(refusal.issues === undefined ? {} : { issues: [...refusal.issues] }),
  };
}

/** What a client should do after the server closed its connection, by close code (RFC 6455 section 7.4). */
export const CLOSE_CODES = {
  1001: { name: 'going_away', retry: true, meaning: 'the process is stopping; reconnect with backoff' },
  1009: { name: 'too_large', retry: false, meaning: 'a frame was larger than permitted' },
  1012: { name: 'restart', retry: true, meaning: 'the server drained; reconnect to the next assignment' },
  1013: { name: 'overloaded', retry: true, meaning: 'the client read too slowly or the server is full' },
  4001: { name: 'unauthenticated', retry: false, meaning: 'the session ended by expiry, logout or ban' },
  4008: { name: 'misbehaving', retry: false, meaning: 'ten refused frames within a minute' },
} as const;

/** Flattens a zod failure into `issues`; unknown fields are named, and of a union the branch that was meant speaks. */
export function issuesOf(error: { issues: readonly z.core.$ZodIssue[] }): Issue[] {
  const found: Issue[] = [];
  collectIssues(error.issues, [], found);
  return found.slice(0, 20);
}

function collectIssues(issues: readonly z.core.$ZodIssue[], at: readonly PropertyKey[], found: Issue[]): void {
  for (const issue of issues.slice(0, 20)) {
    const path = [...at, ...issue.path];
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys.slice(0, 20))
        found.push({ path: [...path, key].map(String).join('.'), message: 'unknown field' });
    } else if (issue.code === 'invalid_union' && issue.errors.length > 0) {
      collectIssues(meantBranch(issue.errors), path, found);
    } else {
      found.push({ path: path.map(String).join('.'), message: issue.message });
    }
  }
}

/** The branch that does not complain about the discriminator `type`, or the one with the fewest complaints. */
function meantBranch(branches: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] {
  const named = branches.find((issues) =>
    issues.every((issue) => issue.path[0] !== 'type' && issue.path.length + issues.length > 0),
  );
  return named ?? [...branches].sort((a, b) => a.length - b.length)[0] ?? [];
}

/** Parses what came from outside, or throws `invalid` with every issue by path. */
export function parse<T extends z.ZodType>(schema: T, value: unknown, what = 'request'): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = issuesOf(result.error);
  const first = issues[0];
  const detail = first === undefined ? '' : `: ${first.path === '' ? '' : `${first.path} `}${first.message}`;
  throw new ParleyError('invalid', `The ${what} is not valid${detail}`, { issues });
}
