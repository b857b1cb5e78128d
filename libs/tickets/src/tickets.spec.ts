import { describe, expect, it } from '@jest/globals';
import type { DeviceId, InstanceId, SessionId, UserId, WorkspaceId } from '@parley/contracts';
import { createSigner } from 'fast-jwt';

import { newTicketKey, type Ticket, TICKET_TTL_MS, TicketIssuer, TicketVerifier } from './tickets.js';

const ticket: Ticket = {
  sessionId: 's1' as SessionId,
  userId: 'u1' as UserId,
  workspaceId: 'w1' as WorkspaceId,
  deviceId: 'd1' as DeviceId,
  serverId: 'chat-1' as InstanceId,
  origin: 'https://chat.example',
  familyId: 'f1',
  scopes: ['messages:read', 'messages:write'],
  sessionExpiresAtMs: 1_800_000_000_000,
};

function setUp(usedMax = 10) {
  let now = 1_700_000_000_000;
  const key = newTicketKey();
  const nowMs = () => now;
  return {
    key,
    issuer: new TicketIssuer({ key, nowMs }),
    verifier: new TicketVerifier({ key, serverId: ticket.serverId, nowMs, usedMax }),
    advance: (ms: number) => (now += ms),
    now: nowMs,
  };
}

const code = (call: () => unknown): string => {
  try {
    call();
    return 'accepted';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('a ticket', () => {
  it('says to the chat server what the gateway said', () => {
    const { issuer, verifier, now } = setUp();
    const issued = issuer.issue(ticket);
    expect(issued.expiresAtMs).toBe(now() + TICKET_TTL_MS);
    expect(verifier.accept(issued.ticket)).toEqual(ticket);
    const bare = { ...ticket, origin: null, familyId: null, scopes: null, sessionExpiresAtMs: null };
    expect(verifier.accept(issuer.issue(bare).ticket)).toEqual(bare);
  });

  it('is good once', () => {
    const { issuer, verifier } = setUp();
    const issued = issuer.issue(ticket);
    verifier.accept(issued.ticket);
    expect(code(() => verifier.accept(issued.ticket))).toBe('unauthenticated');
  });

  it('is good for 60 seconds', () => {
    const { issuer, verifier, advance } = setUp();
    const [early, late] = [issuer.issue(ticket), issuer.issue(ticket)];
    advance(TICKET_TTL_MS - 1);
    expect(code(() => verifier.accept(early.ticket))).toBe('accepted');
    advance(1);
    expect(code(() => verifier.accept(late.ticket))).toBe('token_expired');
    expect(code(() => verifier.accept(early.ticket))).toBe('token_expired');
  });

  it('is good for its own server only', () => {
    const { issuer, verifier } = setUp();
    const issued = issuer.issue({ ...ticket, serverId: 'chat-2' as InstanceId });
    expect(code(() => verifier.accept(issued.ticket))).toBe('unauthenticated');
  });

  it('is refused when it was signed by someone else, not at all, or says something else', () => {
    const { issuer, verifier, key } = setUp();
    const foreign = new TicketIssuer({ key: newTicketKey(), nowMs: Date.now }).issue(ticket).ticket;
    const [header, payload, signature] = issuer.issue(ticket).ticket.split('.');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    const changed = Buffer.from(JSON.stringify({ ...ticket, uid: 'u2' })).toString('base64url');
    const incomplete = createSigner({ key: Buffer.from(key, 'base64url'), algorithm: 'HS256' })({ uid: 'u1' });
    const hs512 = createSigner({ key: Buffer.from(key, 'base64url'), algorithm: 'HS512' })({ uid: 'u1' });
    for (const forged of [
      foreign,
      `${none}.${payload}.`,
      `${none}.${payload}.${signature}`,
      `${header}.${changed}.${signature}`,
      incomplete,
      hs512,
      'nonsense',
      '',
    ]) {
      expect(code(() => verifier.accept(forged))).toBe('unauthenticated');
    }
  });
});

describe('the memory of used tickets', () => {
  it('refuses more when it is full, and has room again when those have expired', () => {
    const { issuer, verifier, advance } = setUp(3);
    const used = [1, 2, 3].map(() => issuer.issue(ticket).ticket);
    for (const each of used) verifier.accept(each);
    expect(code(() => verifier.accept(issuer.issue(ticket).ticket))).toBe('overloaded');
    for (const each of used) expect(code(() => verifier.accept(each))).toBe('unauthenticated');
    advance(TICKET_TTL_MS);
    expect(code(() => verifier.accept(issuer.issue(ticket).ticket))).toBe('accepted');
  });

  it('refuses a key that is too short', () => {
    expect(() => new TicketIssuer({ key: 'c2hvcnQ', nowMs: Date.now })).toThrow(/shorter than 32 bytes/);
  });
});
