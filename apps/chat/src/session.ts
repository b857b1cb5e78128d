import type { ConversationId, DeviceId, Scope, SessionId, UserId, WorkspaceId } from '@parley/contracts';

import type { EncodedFrame } from './encoded-frame.js';

/** Where a session's frames go: a socket, an event stream, a buffer that polls empty. */
export interface Outlet {
  readonly kind: 'socket' | 'stream';
  /** Queues a frame; never blocks, never throws. Bounded: a reader that does not keep up is closed. */
  deliver(frame: EncodedFrame): void;
  close(code: CloseCode): void;
}

export type CloseCode = 1001 | 1009 | 1012 | 1013 | 4001 | 4008;

/** Who a ticket said is there. */
export interface SessionIdentity {
  readonly sessionId: SessionId;
  readonly workspaceId: WorkspaceId;
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  /** Where the client finds gateways; null for streams, which find one by themselves. */
  readonly origin: string | null;
  /** The sign-in that the session ends with; null for API keys and outside issuers. */
  readonly familyId: string | null;
  /** What an API key may do; null for people, who may do what their roles permit. */
  readonly scopes: readonly Scope[] | null;
  /** When the token that opened the session expires; null: never. */
  readonly expiresAtMs: number | null;
}

/**
 * `opening`: frames wait until `session.ready` was sent; `live`; `closed`: nothing is delivered any more.
 *
 * | from | event | to |
 * |---|---|---|
 * | opening | ready | live |
 * | opening, live | close | closed |
 */
export type SessionPhase = 'opening' | 'live' | 'closed';

const OPENING_FRAMES_MAX = 1_000;
const MISBEHAVIOUR_WINDOW_MS = 60_000;
const MISBEHAVIOUR_MAX = 10;

/** One live session of one device, whatever its transport. */
export class Session {
  readonly id: SessionId;
  readonly workspaceId: WorkspaceId;
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly origin: string | null;
  familyId: string | null;
  readonly scopes: readonly Scope[] | null;
  expiresAtMs: number | null;
  lastActiveMs: number;
  /** Requests whose acknowledgement is due. */
  inFlight = 0;
  /** Channels whose rooms the session is in. */
  readonly channels = new Set<ConversationId>();
  /** Whose presence the session watches; made when first used. */
  watching: Set<UserId> | undefined;
  #phase: SessionPhase = 'opening';
  #held: EncodedFrame[] | undefined = [];
  #outlet: Outlet;
  #misbehaviour: number[] | undefined;

  constructor(identity: SessionIdentity, outlet: Outlet, nowMs: number) {
    this.id = identity.sessionId;
    this.workspaceId = identity.workspaceId;
    this.userId = identity.userId;
    this.deviceId = identity.deviceId;
    this.origin = identity.origin;
    this.familyId = identity.familyId;
    this.scopes = identity.scopes;
    this.expiresAtMs = identity.expiresAtMs;
    this.lastActiveMs = nowMs;
    this.#outlet = outlet;
  }

  get phase(): SessionPhase {
    return this.#phase;
  }

  /** `first` goes out before everything that came while the session was opening. */
  ready(first: EncodedFrame | null): void {
    if (this.#phase !== 'opening') return;
    this.#phase = 'live';
    if (first !== null) this.#outlet.deliver(first);
    for (const frame of this.#held ?? []) this.#outlet.deliver(frame);
    this.#held = undefined;
  }

  deliver(frame: EncodedFrame): void {
    switch (this.#phase) {
      case 'live':
        this.#outlet.deliver(frame);
        break;
      case 'opening':
        // Beyond the bound the jump in seq tells the client to sync.
        if (this.#held !== undefined && this.#held.length < OPENING_FRAMES_MAX) this.#held.push(frame);
        break;
      case 'closed':
        break;
    }
  }

  close(code: CloseCode, last?: EncodedFrame): void {
    if (this.#phase === 'closed') return;
    if (last !== undefined) this.#outlet.deliver(last);
    this.#phase = 'closed';
    this.#held = undefined;
    this.#outlet.close(code);
  }

  /** The transport went away by itself. */
  ended(): void {
    this.#phase = 'closed';
    this.#held = undefined;
  }

  /** Counts a refused frame; true when the session has to go. */
  misbehaved(nowMs: number): boolean {
    const recent = (this.#misbehaviour ?? []).filter((at) => at > nowMs - MISBEHAVIOUR_WINDOW_MS);
    recent.push(nowMs);
    this.#misbehaviour = recent;
    return recent.length >= MISBEHAVIOUR_MAX;
  }
}
