import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

import { doorProxies, type DoorProxies } from '../door/door-proxy.js';
import { type DoorServer, listenForClients } from '../door/door-server.js';
import type { LinkName, Links, LinkServices } from '../links.js';
import { connectChat, serveChat } from './chat.grpc.js';
import { type GrpcLinksConfig, type GrpcSettings, grpcSettings } from './config.js';
import { connectDelivery, serveDelivery } from './delivery.grpc.js';
import { connectDirectory, serveDirectory } from './directory.grpc.js';
import { hostPort, LinkServer, type ServiceBuilder } from './link-server.js';
import type { CallCounts } from './numbered-calls.js';
import type { Peer } from './peer.js';
import { Peers } from './peers.js';
import { connectPresence, servePresence } from './presence.grpc.js';
import { connectRouting, serveRouting } from './routing.grpc.js';

interface Listening {
  readonly server: LinkServer;
  readonly address: string;
  readonly door: DoorServer | null;
  readonly doorAddress: string;
}

/** Links between processes: gRPC by address, and a chat server's door as HTTP. */
export class GrpcLinks implements Links {
  readonly address: string;
  readonly doorAddress: string;
  readonly #peers: Peers;
  readonly #doors: DoorProxies;
  readonly #served = new Set<LinkName>();

  private constructor(
    private readonly settings: GrpcSettings,
    private readonly listening: Listening,
  ) {
    this.address = listening.address;
    this.doorAddress = listening.doorAddress;
    this.#peers = new Peers(settings);
    this.#doors = doorProxies({
      connectMs: settings.deadlines.connectMs,
      connectionsMax: settings.bounds.doorConnectionsMax,
      tls: settings.tls,
      log: settings.log,
    });
  }

  static async open(config: GrpcLinksConfig): Promise<GrpcLinks> {
    const settings = grpcSettings(config);
    // It writes lines of its own to the console, of what is thrown and told here anyway.
    setLogVerbosity(logVerbosity.NONE);
    const { server, port } = await LinkServer.listen(settings);
    try {
      const door = settings.door === undefined ? null : await listenForClients(settings.door, settings.tls);
      const host = settings.advertiseHost ?? settings.listen.host;
      return new GrpcLinks(settings, {
        server,
        address: hostPort(host, port),
        door,
        doorAddress: door === null ? '' : hostPort(settings.door?.advertiseHost ?? host, door.port),
      });
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  connect<K extends LinkName>(link: K, address: string): LinkServices[K] {
    // Each link's own service, which the type of the table says but not of one indexed by a parameter.
    return this.#connect(link, address) as LinkServices[K];
  }

  serve<K extends LinkName>(link: K, address: string, service: LinkServices[K]): { close(): void } {
    const own = link === 'chatDoor' ? this.doorAddress : this.address;
    if (address !== own)
      throw new Error(`${link} cannot be served at ${address}: this process is ${own || 'without a door'}`);
    if (this.#served.has(link)) throw new Error(`${link} is already served at ${address}`);
    this.#served.add(link);
    const served = this.#serve({ [link]: service });
    return {
      close: () => {
        this.#served.delete(link);
        served.close();
      },
    };
  }

  /** Calls and messages that left this process on a link. */
  counts(link: LinkName): Readonly<CallCounts> {
    return this.#peers.counts(link);
  }

  /** Addresses with a connection. */
  get connections(): number {
    return this.#peers.size;
  }

  async close(): Promise<void> {
    const { server, door } = this.listening;
    await Promise.all([server.close(), door?.close(this.settings.closeMs)]);
    this.#peers.close();
    this.#doors.close();
  }

  #connect(link: LinkName, address: string): LinkServices[LinkName] {
    const { deadlines, bounds } = this.settings;
    const peer = (): Peer => this.#peers.at(address);
    switch (link) {
      case 'routing':
        return connectRouting(peer, deadlines);
      case 'directory':
        return connectDirectory(peer, deadlines);
      case 'presence':
        return connectPresence(peer);
      case 'chat':
        return connectChat(peer, deadlines, bounds);
      case 'delivery':
        return connectDelivery(peer, deadlines, bounds);
      case 'chatDoor':
        return this.#doors.at(address);
    }
  }

  #serve({ routing, directory, presence, chat, delivery, chatDoor }: Partial<LinkServices>): { close(): void } {
    const { server, door } = this.listening;
    if (chatDoor !== undefined && door !== null) return door.serve(chatDoor);
    return server.add((builder: ServiceBuilder) => {
      if (routing !== undefined) serveRouting(routing, builder);
      if (directory !== undefined) serveDirectory(directory, builder);
      if (presence !== undefined) servePresence(presence, builder);
      if (chat !== undefined) serveChat(chat, builder);
      if (delivery !== undefined) serveDelivery(delivery, builder);
    });
  }
}
