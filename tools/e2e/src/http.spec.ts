import { expect, it } from '@jest/globals';
import { Problem } from '@parley/contracts';

import { scenario } from './world.js';

scenario('the public door', (world) => {
  async function problem(path: string, init: RequestInit = {}): Promise<Problem & { readonly headers: Headers }> {
    const response = await fetch(`${world.url}${path}`, init);
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    const parsed = Problem.parse(await response.json());
    expect(parsed.status).toBe(response.status);
    return { ...parsed, headers: response.headers };
  }
  const register = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    problem('/v1/auth/register', { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });

  it('knows no other paths and methods, and says so', async () => {
    for (const [path, method] of [
      ['/v1/nothing', 'GET'],
      ['/v1/me', 'PUT'],
      ['/nothing', 'POST'],
      ['/v1/conversations/x/y', 'GET'],
    ] as const) {
      const { code, requestId } = await problem(path, { method });
      expect(code).toBe('not_found');
      expect(requestId).not.toBe('');
    }
  });

  it('echoes the request id that it was given, and makes one otherwise', async () => {
    const given = await problem('/v1/me', { headers: { 'x-request-id': 'my-request.1' } });
    expect([given.requestId, given.headers.get('x-request-id')]).toEqual(['my-request.1', 'my-request.1']);
    const made = await problem('/v1/me');
    expect(made.requestId).toBe(made.headers.get('x-request-id'));
    const odd = await problem('/v1/me', { headers: { 'x-request-id': 'not an id, {}' } });
    expect(odd.requestId).not.toContain('{');
    const ready = await fetch(`${world.url}/readyz`, { headers: { 'x-request-id': 'my-request.2' } });
    expect(ready.headers.get('x-request-id')).toBe('my-request.2');
  });

  it('refuses bodies that are not JSON, or do not say so', async () => {
    for (const body of ['{', '{"username":}', '', 'null', '"text"', '[1]', '1']) {
      expect([body, (await register(body)).code]).toEqual([body, 'invalid']);
    }
    const good = JSON.stringify({ username: world.name(), password: 'long enough' });
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/jsonp',
    ]) {
      expect(await register(good, { 'content-type': type })).toMatchObject({ code: 'unsupported', status: 415 });
    }
    expect((await register(good, { 'content-type': 'application/json; charset=klingon' })).code).toBe('unsupported');
    expect((await register(good, { 'content-encoding': 'klingon' })).code).toBe('unsupported');
  });

  it('refuses a body whose compression is broken', async () => {
    expect((await register(Buffer.from('not gzip at all'), { 'content-encoding': 'gzip' })).code).toBe('invalid');
  });

  it('refuses paths that cannot be decoded', async () => {
    const person = await world.person();
    const headers = { authorization: `Bearer ${person.accessToken}` };
    for (const path of ['/v1/users/%E0%A4%A', '/v1/conversations/%/messages', '/%']) {
      expect(['invalid', 'not_found']).toContain((await problem(path, { headers })).code);
    }
  });

  it('refuses ids and queries that make no sense', async () => {
    const person = await world.person();
    const headers = { authorization: `Bearer ${person.accessToken}` };
    expect((await problem('/v1/users/%00', { headers })).code).toBe('invalid');
    expect((await problem('/v1/users?limit=1&limit=2', { headers })).code).toBe('invalid');
    expect((await problem('/v1/users?query=%E0%A4%A&x=1', { headers })).code).toBe('invalid');
    expect((await problem('/v1/users?cursor=nonsense', { headers })).code).toBe('invalid');
  });

  it('takes any JSON media type, and is open to browsers of any origin', async () => {
    const body = JSON.stringify({ username: world.name(), password: 'long enough' });
    const headers = { 'content-type': 'application/json; charset=utf-8', origin: 'https://app.example' };
    const response = await fetch(`${world.url}/v1/auth/register`, { method: 'POST', headers, body });
    expect(response.status).toBe(201);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('access-control-expose-headers')).toContain('X-Request-Id');
  });
});
