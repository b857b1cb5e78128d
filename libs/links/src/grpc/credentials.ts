import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';

import type { LinkTls } from './config.js';

const pem = (text: string | Buffer): Buffer => Buffer.from(text);

export function clientCredentials(tls: LinkTls | undefined): ChannelCredentials {
  if (tls === undefined) return ChannelCredentials.createInsecure();
  return ChannelCredentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert));
}

/** Callers without a certificate of the authority are not let in. */
export function serverCredentials(tls: LinkTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  return ServerCredentials.createSsl(pem(tls.ca), [{ private_key: pem(tls.key), cert_chain: pem(tls.cert) }], true);
}
