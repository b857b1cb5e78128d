import { afterEach, describe, expect, it } from '@jest/globals';
import { type RoutingLink, seq } from '@parley/contracts';

import { openLinks } from '../index.js';
import { commandOf } from '../links-conformance.js';
import { authority, issued } from './certificates-fixture.js';
import type { LinkTls } from './config.js';
import { Logged, openGrpc } from './grpc-fixture.js';
import type { GrpcLinks } from './grpc-links.js';

const parley = authority('Parley links');
const other = authority('Someone else');
const routing: RoutingLink = { submit: async () => ({ kind: 'unchanged', seq: seq(1) }) };
const join = commandOf({ kind: 'join' });

const opened: GrpcLinks[] = [];
afterEach(async () => {
  for (const links of opened.splice(0)) await links.close();
});

async function open(tls: LinkTls | undefined): Promise<GrpcLinks> {
  const links = await openGrpc({ ...(tls === undefined ? {} : { tls }), closeMs: 100 });
  opened.push(links);
  return links;
}

/** Whether a caller with one certificate reaches a service with another. */
async function reaches(caller: LinkTls | undefined, callee: LinkTls | undefined): Promise<boolean> {
  const [from, to] = [await open(caller), await open(callee)];
  to.serve('routing', to.address, routing);
  return from
    .connect('routing', to.address)
    .submit(join)
    .then(
      () => true,
      () => false,
    );
}

describe('links with mutual TLS', () => {
  it('reach services of the same authority', async () => {
    expect(await reaches(issued(parley, 'chat'), issued(parley, 'routing'))).toBe(true);
  });

  it('do not reach, and are not reached by, those of another or without one', async () => {
    expect(await reaches(issued(other, 'chat'), issued(parley, 'routing'))).toBe(false);
    expect(await reaches({ ...issued(other, 'chat'), ca: parley.cert }, issued(parley, 'routing'))).toBe(false);
    expect(await reaches(undefined, issued(parley, 'routing'))).toBe(false);
    expect(await reaches(issued(parley, 'chat'), undefined)).toBe(false);
  });

  it('look at the name in the certificate, or at the one that all services have', async () => {
    const named = issued(parley, 'parley.internal', false);
    expect(await reaches(named, named)).toBe(false);
    expect(await reaches({ ...named, serverName: 'parley.internal' }, named)).toBe(true);
  });

  it('are not opened with half of it', async () => {
    const tls = issued(parley, 'chat');
    for (const field of ['ca', 'cert', 'key'] as const) {
      const config = { adapter: 'grpc', listen: { host: '127.0.0.1', port: 0 }, log: new Logged() } as const;
      await expect(openLinks({ ...config, tls: { ...tls, [field]: '' } })).rejects.toThrow(`tls.${field} is missing`);
    }
  });
});
