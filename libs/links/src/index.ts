export { directoryClient, presenceClient, routingClient } from './clients.js';
export { InProcessLinks } from './in-process.js';
export type { ChatDoor, LinkName, Links, LinkServices } from './links.js';
