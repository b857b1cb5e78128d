import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DEFAULT_WORKSPACE, type InstanceId, type UserId } from '@parley/contracts';
import { type Lease, openDiscovery } from '@parley/discovery';
import { InProcessLinks } from '@parley/links';
import { openRateLimiter } from '@parley/rate-limiter';
import { ManualClock, readConfig } from '@parley/service-kit';
import { newTicketKey, TicketIssuer, TicketVerifier } from '@parley/tickets';

import { openAccounts, type AccountsFixture, ANN } from './accounts/accounts-fixture.js';
import { Authenticator } from './accounts/authenticate.js';
import { OutsideIssuers } from './accounts/outside-issuers.js';
import { Admission } from './admission.js';
import { Assignments } from './assignment.js';
import { gatewaySettings } from './config.js';
import { PassThrough } from './pass-through.js';

const CHAT = 'chat-1' as InstanceId;
const key = newTicketKey();
let accounts: AccountsFixture;
let server: Server;
let url: string;
let token: string;
let lease: Lease;
let served: { close(): void };
/** What reached the chat server. */
let passed: string[];
let verifier: TicketVerifier;

beforeEach(async () => {
  accounts = await openAccounts();
  const { directory, nowMs, newId } = accounts;
  token = (await accounts.signIn.register(DEFAULT_WORKSPACE, ANN)).accessToken;
  const clock = new ManualClock(nowMs());
  const discovery = await openDiscovery({ adapter: 'in-process' });
  const links = new InProcessLinks();
  lease = await discovery.register({
    service: 'chat',
    instanceId: CHAT,
    address: 'inproc:chat',
    region: 'local',
    version: '1',
    state: 'ready',
    capacity: 10,
    connections: 0,
  });
  passed = [];
  served = links.serve('chatDoor', 'inproc:chat', {
    request(request, response) {
      passed.push(request.url ?? '');
      response.end('from chat');
    },
    upgrade(request, socket) {
      passed.push(`upgrade ${request.url ?? ''}`);
      socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n');
    },
  });
  verifier = new TicketVerifier({ key, serverId: CHAT, nowMs });
  const assignments = new Assignments(await discovery.watch('chat'), new TicketIssuer({ key, nowMs }), {
    clock,
    random: () => 0.5,
  });
  const authenticator = new Authenticator({
    accessTokens: accounts.accessTokens,
    outsideIssuers: new OutsideIssuers({ directory, nowMs, newId, issuers: [] }),
    apiKeys: accounts.apiKeys,
    directory,
    nowMs,
  });
  const limiter = await openRateLimiter({ adapter: 'in-process', nowMs });
  const passThrough = new PassThrough(
    assignments,
    new Admission(authenticator, limiter, readConfig(gatewaySettings, { PARLEY_SIGN_INS_BURST: '3' })),
    links,
  );
  server = createServer((request, response) => {
    if (!passThrough.request(request, response, '127.0.0.1')) response.writeHead(418).end();
  });
  server.on('upgrade', (request, socket, head) => passThrough.upgrade(request, socket, head));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await accounts.close();
});

const get = (path: string, headers: Record<string, string> = {}) => fetch(`${url}${path}`, { headers });
const codeOf = async (response: Response): Promise<string> => {
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(response.headers.get('x-request-id')).toBeTruthy();
  return ((await response.json()) as { code: string }).code;
};
const bearer = () => ({ authorization: `Bearer ${token}` });

async function upgrade(path: string): Promise<string> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  await once(socket, 'close');
  return answer.split('\r\n')[0] ?? '';
}

describe('the pass-through', () => {
  it('hands requests and upgrades to the chat server that their path names', async () => {
    const path = '/v1/chat/chat-1/socket.io/?EIO=4&transport=polling';
    expect(await (await get(path)).text()).toBe('from chat');
    expect(await upgrade(path)).toBe('HTTP/1.1 101 Switching Protocols');
    expect(passed).toEqual([path, `upgrade ${path}`]);
  });

  it('leaves everything else to the API', async () => {
    for (const path of ['/', '/v1/me', '/v1/chat/chat-1', '/v1/chat/a/b/socket.io/', '/v1/eventsx']) {
      expect([path, (await get(path)).status]).toEqual([path, 418]);
    }
    expect((await fetch(`${url}/v1/events`, { method: 'POST' })).status).toBe(418);
    expect(passed).toEqual([]);
  });

  it('does not find a chat server that is not there', async () => {
    const response = await get('/v1/chat/chat-9/socket.io/?EIO=4');
    expect([response.status, await codeOf(response)]).toEqual([404, 'not_found']);
    expect(await upgrade('/v1/chat/chat-9/socket.io/')).toBe('HTTP/1.1 404 Refused');
    expect(await upgrade('/v1/messages')).toBe('HTTP/1.1 404 Refused');
  });

  it('says that a chat server which does not answer is unavailable', async () => {
    served.close();
    const response = await get('/v1/chat/chat-1/socket.io/?EIO=4');
    expect([response.status, await codeOf(response)]).toEqual([503, 'unavailable']);
    expect(await upgrade('/v1/chat/chat-1/socket.io/')).toBe('HTTP/1.1 503 Refused');
  });

  it('opens streams and polls with a ticket of the caller’s own, whatever ticket they bring', async () => {
    await get('/v1/events/poll?timeoutMs=5&deviceId=phone', bearer());
    await get('/v1/events', { ...bearer(), 'last-event-id': 'chat-1~s~4' });
    const queries = passed.map((path) => new URL(path, url).searchParams);
    const tickets = queries.map((query) => verifier.accept(query.get('ticket') ?? ''));
    const { user } = (await accounts.directory.userByUsername(DEFAULT_WORKSPACE, ANN.username)) ?? {};
    expect(tickets).toMatchObject([
      { userId: user?.id as UserId, serverId: CHAT, deviceId: 'phone' },
      { userId: user?.id as UserId, deviceId: expect.stringMatching(/^stream-/) },
    ]);
    expect((await get('/v1/events?ticket=forged', bearer())).status).toBe(400);
  });

  it('refuses streams without a token, with fields that nobody knows, or beyond their bounds', async () => {
    expect(await codeOf(await get('/v1/events'))).toBe('unauthenticated');
    for (const query of [
      'colour=red',
      'timeoutMs=30001',
      'timeoutMs=soon',
      'deviceId=a/b',
      `cursor=${'x'.repeat(300)}`,
    ]) {
      expect([query, await codeOf(await get(`/v1/events/poll?${query}`, bearer()))]).toEqual([query, 'invalid']);
    }
    expect(passed).toEqual([]);
  });

  it('slows down those who try tokens', async () => {
    const codes: string[] = [];
    for (let times = 0; times < 4; times += 1)
      codes.push(await codeOf(await get('/v1/events', { authorization: 'Bearer x' })));
    expect(codes).toEqual(['unauthenticated', 'unauthenticated', 'unauthenticated', 'rate_limited']);
  });

  it('says when to come back when no chat server has room', async () => {
    await lease.update({ connections: 10 });
    const response = await get('/v1/events', bearer());
    expect([response.status, response.headers.get('retry-after'), await codeOf(response)]).toEqual([
      503,
      '5',
      'overloaded',
    ]);
    await lease.update({ connections: 0, state: 'draining' });
    expect(await codeOf(await get('/v1/events', bearer()))).toBe('overloaded');
  });
});
