import type { GrpcLinksConfig } from './grpc/config.js';
import { GrpcLinks } from './grpc/grpc-links.js';
import { InProcessLinks, type InProcessLinksConfig } from './in-process.js';
import type { Links } from './links.js';

export { deliveryClient, directoryClient, presenceClient, routingClient } from './clients.js';
export type { Deadlines, GrpcLinksConfig, LinkBounds, LinkLog, LinkTls } from './grpc/config.js';
export { InProcessLinks } from './in-process.js';
export { type ChatDoor, LinkDown, type LinkName, type Links, type LinkServices } from './links.js';

export type LinksConfig =
  ({ readonly adapter: 'in-process' } & InProcessLinksConfig) | ({ readonly adapter: 'grpc' } & GrpcLinksConfig);

/** Throws when the address to listen at cannot be had, and for a TLS configuration that is half given. */
export async function openLinks(config: LinksConfig): Promise<Links> {
  switch (config.adapter) {
    case 'in-process':
      return new InProcessLinks(config);
    case 'grpc':
      return GrpcLinks.open(config);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { readonly adapter: unknown };
  throw new Error(`links.adapter: there is no adapter "${String(adapter)}"; known: in-process, grpc`);
}
