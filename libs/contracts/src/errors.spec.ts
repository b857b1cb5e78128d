import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';

import { Content } from './content.js';
import {
  CLOSE_CODES,
  ErrorBody,
  type ErrorCode,
  ERRORS,
  issuesOf,
  parse,
  ParleyError,
  Problem,
  toErrorBody,
  toProblem,
} from './errors.js';
import { SendBody } from './events.js';
import { ROUTES } from './rest.js';

/** The public contract's table, as its page has it. */
const TABLE: readonly (readonly [ErrorCode, number, boolean])[] = [
  ['invalid', 400, false],
  ['unauthenticated', 401, false],
  ['token_expired', 401, false],
  ['forbidden', 403, false],
  ['not_found', 404, false],
  ['conflict', 409, false],
  ['idempotency_conflict', 409, false],
  ['too_large', 413, false],
  ['unsupported', 415, false],
  ['rate_limited', 429, true],
  ['overloaded', 503, true],
  ['unavailable', 503, true],
  ['internal', 500, true],
];

const failure = (schema: z.ZodType, value: unknown) => {
  const result = schema.safeParse(value);
  if (result.success) throw new Error('it was meant to be refused');
  return issuesOf(result.error);
};

describe('the table of errors', () => {
  it('is the one of the contract, no code more and none less', () => {
    expect(Object.entries(ERRORS).map(([code, { status, retryable }]) => [code, status, retryable])).toEqual(TABLE);
  });

  for (const [code, status, retryable] of TABLE) {
    it(`gives ${code} the same answer at both doors`, () => {
      const { refusal } = new ParleyError(code, 'because', {
        retryAfterMs: 250,
        issues: [{ path: 'a', message: 'b' }],
      });
      const problem = Problem.parse(toProblem(refusal, 'r1'));
      const body = ErrorBody.parse(toErrorBody(refusal, 'r1'));
      const shared = { code, retryable, requestId: 'r1', retryAfterMs: 250, issues: [{ path: 'a', message: 'b' }] };
      expect(problem).toEqual({
        ...shared,
        type: `urn:parley:error:${code}`,
        title: ERRORS[code].title,
        status,
        detail: 'because',
      });
      expect(body).toEqual({ ...shared, message: 'because' });
    });
  }

  it('leaves out what a refusal does not say', () => {
    expect(toErrorBody({ code: 'internal', message: 'm' }, 'r')).toEqual({
      code: 'internal',
      message: 'm',
      retryable: true,
      requestId: 'r',
    });
  });

  it('survives being handed on as plain data', () => {
    const first = new ParleyError('overloaded', 'busy', { retryAfterMs: 5, issues: [{ path: 'x', message: 'y' }] });
    const again = ParleyError.from(JSON.parse(JSON.stringify(first.refusal)));
    expect(again.refusal).toEqual(first.refusal);
    expect(again).toBeInstanceOf(ParleyError);
  });

  it('says for every close code whether to come back', () => {
    const retry = Object.entries(CLOSE_CODES).map(([code, row]) => [Number(code), row.retry]);
    expect(retry).toEqual([
      [1001, true],
      [1009, false],
      [1012, true],
      [1013, true],
      [4001, false],
      [4008, false],
    ]);
  });
});

describe('what is wrong with a request', () => {
  it('names unknown fields where they stand', () => {
    expect(failure(SendBody, { clientId: 'k', content: { type: 'text', text: 'hi' }, colour: 'red', size: 1 })).toEqual(
      [
        { path: 'colour', message: 'unknown field' },
        { path: 'size', message: 'unknown field' },
      ],
    );
    expect(failure(SendBody, { clientId: 'k', content: { type: 'text', text: 'hi', bold: true } })).toEqual([
      { path: 'content.bold', message: 'unknown field' },
    ]);
  });

  it('speaks of a text as a text', () => {
    expect(failure(Content, { type: 'text', text: 5 })).toEqual([
      { path: 'text', message: expect.stringContaining('string') },
    ]);
    expect(failure(Content, { type: 'media' })).toEqual([{ path: 'mediaId', message: expect.any(String) }]);
  });

  it('says of content without a kind that the kind is missing', () => {
    const issues = failure(Content, { text: 'hi' });
    expect(issues.map(({ path }) => path)).toContain('type');
  });

  it('gives the path into lists', () => {
    const body = ROUTES.addMembers.body;
    expect(failure(body, { userIds: ['ok', 'not ok', ''] }).map(({ path }) => path)).toEqual(
      expect.arrayContaining(['userIds.1', 'userIds.2']),
    );
  });

  it('is bounded, however much is wrong', () => {
    const unknown = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`field${index}`, 1]));
    expect(failure(SendBody, unknown)).toHaveLength(20);
    expect(
      failure(
        z.array(z.string()),
        Array.from({ length: 500 }, () => 1),
      ),
    ).toHaveLength(20);
  });

  it('is thrown as `invalid`, with the first issue in the words of the message', () => {
    expect(() => parse(SendBody, { clientId: 'k' }, 'body')).toThrow(
      expect.objectContaining({
        code: 'invalid',
        message: expect.stringMatching(/^The body is not valid: content /),
      }),
    );
    expect(() => parse(z.string(), 5)).toThrow(/^The request is not valid: /);
  });
});
