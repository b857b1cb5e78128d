import { randomBytes, randomUUID } from 'node:crypto';

import {
  type Assignment,
  DeviceId,
  InstanceId,
  ParleyError,
  Scope,
  SessionId,
  UserId,
  WorkspaceId,
} from '@parley/contracts';
import { createSigner, createVerifier, TokenError } from 'fast-jwt';
import { z } from 'zod';

/** A ticket is for the connection that follows its assignment, not for later. */
export const TICKET_TTL_MS = 60_000;
/** Used tickets remembered until they expire: 3,000 new sessions a second on one chat server. Beyond, `overloaded`. */
export const USED_TICKETS_MAX = 200_000;
const KEY_MIN_BYTES = 32;

/** What the gateway tells a chat server of a session that is about to be opened. */
export interface Ticket {
  readonly sessionId: SessionId;
  readonly userId: UserId;
  readonly workspaceId: WorkspaceId;
  readonly deviceId: DeviceId;
  /** The only chat server that may accept it. */
  readonly serverId: InstanceId;
  /** Where the client finds gateways, for its next assignment; null for streams, which find one by themselves. */
  readonly origin: string | null;
  /** The sign-in whose end ends the session; null for outside issuers and API keys. */
  readonly familyId: string | null;
  /** What an API key may do; null for people, who may do what their roles permit. */
  readonly scopes: readonly Scope[] | null;
  /** When the session ends by itself, in milliseconds since the epoch; null: when the sign-in does. */
  readonly sessionExpiresAtMs: number | null;
}

const Claims = z.object({
  sid: SessionId,
  uid: UserId,
  wid: WorkspaceId,
  did: DeviceId,
  srv: InstanceId,
  org: z.string().max(512).nullable(),
  fam: z.string().nullable(),
  scp: z.array(Scope).nullable(),
  sexp: z.number().nullable(),
  jti: z.string().min(1).max(64),
  exp: z.number(),
});

/** A key that gateways and chat servers share, kept as a secret of the installation. */
export function newTicketKey(): string {
  return randomBytes(KEY_MIN_BYTES).toString('base64url');
}

function decodeKey(key: string): Buffer {
  const bytes = Buffer.from(key, 'base64url');
  if (bytes.length < KEY_MIN_BYTES) throw new Error(`The ticket key is shorter than ${KEY_MIN_BYTES} bytes`);
  return bytes;
}

/** Signs tickets with a shared key (HS256): synchronous, and a tenth of the cost of asymmetric signatures to verify. */
export class TicketIssuer {
  readonly #sign: (claims: z.input<typeof Claims>) => string;
  readonly #nowMs: () => number;

  constructor(options: { readonly key: string; readonly nowMs: () => number }) {
    this.#sign = createSigner<z.input<typeof Claims>>({
      key: decodeKey(options.key),
      algorithm: 'HS256',
      noTimestamp: true,
    });
    this.#nowMs = options.nowMs;
  }

  issue(ticket: Ticket): { readonly ticket: string; readonly expiresAtMs: number } {
    // JWT counts in whole seconds: rounded down, so that no ticket lives longer than it says.
    const exp = Math.floor((this.#nowMs() + TICKET_TTL_MS) / 1_000);
    const signed = this.#sign({
      sid: ticket.sessionId,
      uid: ticket.userId,
      wid: ticket.workspaceId,
      did: ticket.deviceId,
      srv: ticket.serverId,
      org: ticket.origin,
      fam: ticket.familyId,
      scp: ticket.scopes === null ? null : [...ticket.scopes],
      sexp: ticket.sessionExpiresAtMs,
      jti: randomBytes(12).toString('base64url'),
      exp,
    });
    return { ticket: signed, expiresAtMs: exp * 1_000 };
  }
}

/** Where Socket.IO of one chat server is found on its own address or a gateway's. */
const socketPath = (serverId: InstanceId): string => `/v1/chat/${serverId}/socket.io`;

/** A chat server as an assignment names it. */
export interface AssignedServer {
  readonly instanceId: InstanceId;
  /** Where the platform exposes the server itself; else clients reach it through a gateway. */
  readonly publicUrl?: string;
}

/** Where and how to open a new session on a chat server; gateways answer with it, and chat servers that drain. */
export function assignmentTo(
  { instanceId, publicUrl }: AssignedServer,
  who: Omit<Ticket, 'sessionId' | 'serverId' | 'origin'> & { readonly origin: string },
  issuer: TicketIssuer,
): Assignment {
  const { ticket, expiresAtMs } = issuer.issue({
    ...who,
    sessionId: randomUUID() as string as SessionId,
    serverId: instanceId,
  });
  return {
    url: publicUrl ?? who.origin,
    path: socketPath(instanceId),
    ticket,
    expiresAt: new Date(expiresAtMs).toISOString(),
    serverId: instanceId,
  };
}

/** One chat server's check of the tickets that clients present to it; each is good once. */
export class TicketVerifier {
  readonly #verify: (ticket: string) => unknown;
  readonly #serverId: InstanceId;
  readonly #nowMs: () => number;
  readonly #usedMax: number;
  /** Ids of used tickets and when they expire, by time of use. */
  readonly #used = new Map<string, number>();

  constructor(options: {
    readonly key: string;
    readonly serverId: InstanceId;
    readonly nowMs: () => number;
    readonly usedMax?: number;
  }) {
    // Expiry is checked here, by the clock that was passed in.
    this.#verify = createVerifier<string>({
      key: decodeKey(options.key),
      algorithms: ['HS256'],
      ignoreExpiration: true,
    });
    this.#serverId = options.serverId;
    this.#nowMs = options.nowMs;
    this.#usedMax = options.usedMax ?? USED_TICKETS_MAX;
  }

  /** Takes a ticket, which is used up by that; throws `unauthenticated`, `token_expired` or `overloaded`. */
  accept(ticket: string): Ticket {
    const claims = this.#claimsOf(ticket);
    const nowMs = this.#nowMs();
    if (claims.exp * 1_000 <= nowMs) throw new ParleyError('token_expired', 'The ticket has expired');
    if (claims.srv !== this.#serverId) {
      throw new ParleyError('unauthenticated', 'The ticket is for another chat server');
    }
    if (this.#used.has(claims.jti)) throw new ParleyError('unauthenticated', 'The ticket was used before');
    this.#remember(claims.jti, claims.exp * 1_000, nowMs);
    return {
      sessionId: claims.sid,
      userId: claims.uid,
      workspaceId: claims.wid,
      deviceId: claims.did,
      serverId: claims.srv,
      origin: claims.org,
      familyId: claims.fam,
      scopes: claims.scp,
      sessionExpiresAtMs: claims.sexp,
    };
  }

  #claimsOf(ticket: string): z.output<typeof Claims> {
    let payload: unknown;
    try {
      payload = this.#verify(ticket);
    } catch (error) {
      if (error instanceof TokenError) throw new ParleyError('unauthenticated', 'The ticket is not valid');
      throw error;
    }
    const claims = Claims.safeParse(payload);
    if (!claims.success) throw new ParleyError('unauthenticated', 'The ticket is not valid');
    return claims.data;
  }

  /** To forget a ticket that has not expired would make it good again: at the bound the next one has to wait. */
  #remember(jti: string, expiresAtMs: number, nowMs: number): void {
    for (const [used, expires] of this.#used) {
      // In order of use, which is nearly the order of expiry: whoever stays behind an older one goes with it.
      if (expires > nowMs) break;
      this.#used.delete(used);
    }
    if (this.#used.size >= this.#usedMax) {
      throw new ParleyError('overloaded', 'Too many sessions are being opened', { retryAfterMs: TICKET_TTL_MS });
    }
    this.#used.set(jti, expiresAtMs);
  }
}
