import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import type { ChatServerLink, DirectoryLink, PresenceLink, RoutingLink } from '@parley/contracts';

/**
 * A chat server's client-facing door, as the gateway passes connections through to it: plain requests (Socket.IO's
 * long polling, SSE, polls) and WebSocket upgrades. Between processes the adapter forwards bytes by address; in one
 * process the connection itself is handed over, so that a client costs one socket.
 */
export interface ChatDoor {
  request(request: IncomingMessage, response: ServerResponse): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** What an instance offers at its address, by kind of link. */
export interface LinkServices {
  readonly routing: RoutingLink;
  readonly directory: DirectoryLink;
  readonly presence: PresenceLink;
  readonly chat: ChatServerLink;
  readonly chatDoor: ChatDoor;
}
export type LinkName = keyof LinkServices;

/** Opens links to instances by the address that discovery lists for them. */
export interface Links {
  /** Throws `ParleyError('unavailable')` when nothing answers at the address. */
  connect<K extends LinkName>(link: K, address: string): LinkServices[K];
  /** Offers a service at an address of this process. */
  serve<K extends LinkName>(link: K, address: string, service: LinkServices[K]): { close(): void };
}
