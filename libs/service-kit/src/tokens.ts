/** What services are composed from, by name, for Nest's injection: interfaces have no runtime value of their own. */
export const PORTS = {
  conversationLog: Symbol('ConversationLog'),
  directory: Symbol('Directory'),
  eventBus: Symbol('EventBus'),
  frameBus: Symbol('FrameBus'),
  sessionRegistry: Symbol('SessionRegistry'),
  presenceStore: Symbol('PresenceStore'),
  rateLimiter: Symbol('RateLimiter'),
  headCache: Symbol('HeadCache'),
  discovery: Symbol('ServiceDiscovery'),
  links: Symbol('Links'),
  /** Clients of the other services' links. */
  routing: Symbol('RoutingLink'),
  directoryLink: Symbol('DirectoryLink'),
  presence: Symbol('PresenceLink'),
  deliveryLink: Symbol('DeliveryLink'),
  chatServers: Symbol('chat servers, watched'),
  routingServers: Symbol('routing instances, watched'),
  ticketKey: Symbol('ticket key'),
  context: Symbol('ServiceContext'),
  environment: Symbol('environment'),
  self: Symbol('Self'),
  /** `(reason: string) => void`: ends the process in order. */
  end: Symbol('end'),
} as const;

/** How this process is known to the others. */
export interface Self {
  readonly instanceId: string;
  readonly address: string;
  /** Where the gateway passes clients' connections to; the address itself within one process. */
  readonly doorAddress: string;
  readonly region: string;
  /** Of its registration; 0 before it is registered. */
  readonly epoch: () => number;
  readonly version: string;
}
