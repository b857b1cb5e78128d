import { describe, expect, it } from '@jest/globals';
import { errors, types } from 'cassandra-driver';

import { ParleyError } from '@parley/contracts';

import { asUnavailable, isRefusal } from './cassandra-statements.js';

const { responseErrorCodes } = types;

describe('errors of the driver', () => {
  it.each([
    ['no node can be reached', new errors.NoHostAvailableError({}, 'none')],
    ['a node does not answer', new errors.OperationTimedOutError('too late', 'a host')],
    ['connections are full', new errors.BusyConnectionError('a host', 2_048, 2_048)],
    ['copies are missing', new errors.ResponseError(responseErrorCodes.unavailableException, 'x')],
    ['a write timed out', new errors.ResponseError(responseErrorCodes.writeTimeout, 'x')],
    ['a read timed out', new errors.ResponseError(responseErrorCodes.readTimeout, 'x')],
    ['a node is overloaded', new errors.ResponseError(responseErrorCodes.overloaded, 'x')],
    ['the socket broke', Object.assign(new Error('ECONNRESET'), { isSocketError: true })],
  ])('are "unavailable", with a time to come back, when %s', (_, error) => {
    expect(asUnavailable(error)).toMatchObject({ code: 'unavailable', refusal: { retryAfterMs: expect.any(Number) } });
    expect(isRefusal(error)).toBe(false);
  });

  it.each([
    ['the statement is none', new errors.ResponseError(responseErrorCodes.syntaxError, 'x')],
    ['a table is missing', new errors.ResponseError(responseErrorCodes.invalid, 'x')],
    ['the account may not', new errors.ResponseError(responseErrorCodes.unauthorized, 'x')],
    ['a value has the wrong type', new TypeError('x')],
  ])('stay what they are when %s', (_, error) => {
    expect(asUnavailable(error)).toBe(error);
    expect(isRefusal(error)).toBe(true);
  });

  it('are not wrapped twice', () => {
    const error = new ParleyError('overloaded', 'x');
    expect(asUnavailable(error)).toBe(error);
  });
});
