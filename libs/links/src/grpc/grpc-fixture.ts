import type { LinksSubject } from '../links-conformance.js';
import type { GrpcLinksConfig, LinkLog } from './config.js';
import { GrpcLinks } from './grpc-links.js';

/** Keeps what was logged. */
export class Logged implements LinkLog {
  readonly lines: { readonly fields: object; readonly message: string }[] = [];

  warn(fields: object, message: string): void {
    this.lines.push({ fields, message });
  }

  error(fields: object, message: string): void {
    this.lines.push({ fields, message });
  }
}

export type PartialConfig = Partial<GrpcLinksConfig>;

export function openGrpc(config: PartialConfig = {}): Promise<GrpcLinks> {
  return GrpcLinks.open({ listen: { host: '127.0.0.1', port: 0 }, log: new Logged(), closeMs: 1_000, ...config });
}

export interface GrpcPair extends LinksSubject {
  readonly caller: GrpcLinks;
  readonly callee: GrpcLinks;
}

/** Two processes' links, in one. */
export async function grpcPair(callee: PartialConfig = {}, caller: PartialConfig = {}): Promise<GrpcPair> {
  const pair = { caller: await openGrpc(caller), callee: await openGrpc(callee) };
  return {
    ...pair,
    async close() {
      await pair.caller.close();
      await pair.callee.close();
    },
  };
}
