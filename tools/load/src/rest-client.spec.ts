import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ParleyError, toProblem } from '@parley/contracts';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { pathOf, RestClient } from './rest-client.js';
import { NoAnswer } from './retry.js';

describe('RestClient', () => {
  let server: Server;
  let rest: RestClient;

  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.url === '/v1/me') {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ id: 'u1', username: 'ann', displayName: request.headers.authorization ?? '' }));
      } else if (request.url === '/v1/users/gone') {
        response.statusCode = 404;
        response.end(JSON.stringify(toProblem({ code: 'not_found', message: 'no such user' }, 'r1')));
      } else {
        request.socket.destroy();
      }
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    rest = new RestClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });

  afterAll(async () => {
    rest.close();
    await new Promise((done) => server.close(done));
  });

  it('parses an answer by its route', async () => {
    await expect(rest.call('me', { token: 't' })).resolves.toEqual({
      id: 'u1',
      username: 'ann',
      displayName: 'Bearer t',
    });
  });

  it('throws a refusal with its code', async () => {
    const refused = await rest
      .call('user', { token: 't', params: { userId: 'gone' } })
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ParleyError);
    expect(refused instanceof ParleyError && refused.code).toBe('not_found');
  });

  it('tells apart a connection that ended without an answer', async () => {
    await expect(rest.call('conversations', { token: 't' })).rejects.toBeInstanceOf(NoAnswer);
  });
});

describe('pathOf', () => {
  it('fills in and escapes', () => {
    const request = { params: { conversationId: 'c/1', seq: 3, emoji: '👍' }, query: { after: 0 } };
    expect(pathOf('/v1/conversations/{conversationId}/messages/{seq}/reactions/{emoji}', request)).toBe(
      '/v1/conversations/c%2F1/messages/3/reactions/%F0%9F%91%8D?after=0',
    );
    expect(() => pathOf('/v1/users/{userId}', {})).toThrow(RangeError);
  });
});
