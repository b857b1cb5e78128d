/** What services are composed from, by name, for Nest's injection: interfaces have no runtime value of their own. */
export const PORTS = {
  conversationLog: Symbol('ConversationLog'),
  directory: Symbol('Directory'),
  eventBus: Symbol('EventBus'),
  frameBus: Symbol('FrameBus'),
  sessionRegistry: Symbol('SessionRegistry'),
  presenceStore: Symbol('PresenceStore'),
  rateLimiter: Symbol('RateLimiter'),
  discovery: Symbol('ServiceDiscovery'),
  links: Symbol('Links'),
  /** Clients of the other services' links. */
  routing: Symbol('RoutingLink'),
  directoryLink: Symbol('DirectoryLink'),
  presence: Symbol('PresenceLink'),
  chatServers: Symbol('chat servers, watched'),
  ticketKey: Symbol('ticket key'),
  context: Symbol('ServiceContext'),
  environment: Symbol('environment'),
  self: Symbol('Self'),
} as const;

/** How this process is known to the others. */
export interface Self {
  readonly instanceId: string;
  readonly address: string;
  readonly version: string;
}
