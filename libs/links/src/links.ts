import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import {
  type ChatServerLink,
  type DeliveryLink,
  type DirectoryLink,
  ParleyError,
  type PresenceLink,
  type RoutingLink,
} from '@parley/contracts';

/**
 * A chat server's client-facing door, as the gateway passes connections through to it: plain requests (Socket.IO's
 * long polling, SSE, polls) and WebSocket upgrades. Between processes the adapter forwards bytes by address; in one
 * process the connection itself is handed over, so that a client costs one socket.
 */
export interface ChatDoor {
  /** `gone` is called when the chat server could not be reached; the client was told by then. */
  request(request: IncomingMessage, response: ServerResponse, gone?: () => void): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, gone?: () => void): void;
}

/** What an instance offers at its address, by kind of link. */
export interface LinkServices {
  readonly routing: RoutingLink;
  readonly directory: DirectoryLink;
  readonly presence: PresenceLink;
  readonly chat: ChatServerLink;
  readonly chatDoor: ChatDoor;
  readonly delivery: DeliveryLink;
}
export type LinkName = keyof LinkServices;

/**
 * The link failed, not the service behind it: nobody is there, nobody answers in time, the connection broke. With
 * `sent` false the call never left this process, so that asking another instance cannot do anything twice; with `sent`
 * true the outcome is unknown.
 */
export class LinkDown extends ParleyError {
  constructor(
    message: string,
    readonly sent: boolean,
  ) {
    super('unavailable', message, { retryAfterMs: 1_000 });
    this.name = 'LinkDown';
  }
}

/**
 * Opens links to instances by the address that discovery lists for them.
 *
 * Calls on a link are started at the service in the order in which they were made. What a service throws as a
 * `ParleyError` is thrown at the caller, whole; anything else it throws is not told. A call that cannot be made or is
 * not answered by its deadline rejects with `LinkDown`; one that finds too much waiting already, with `overloaded`.
 */
export interface Links {
  /** What others reach this process at, when the caller chooses nothing else. */
  readonly address: string;
  /** Where others pass clients' connections to; '' when this process has no door. */
  readonly doorAddress: string;
  /** Does not wait; throws `LinkDown` when it knows already that nothing answers at the address. */
  connect<K extends LinkName>(link: K, address: string): LinkServices[K];
  /** Offers a service at an address of this process, each link once at an address. */
  serve<K extends LinkName>(link: K, address: string, service: LinkServices[K]): { close(): void };
  /** Takes nothing new, finishes what runs, within a bounded time. */
  close(): Promise<void>;
}
