import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

import type { LinkTls } from './config.js';

/** X.509 by hand: certificates for tests, without openssl on the machine and without a private key in the repository. */
const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const length = body.length;
  const long = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...long]), body]);
};
const SEQUENCE = 0x30;
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(SEQUENCE, ...parts);
const bytes = (...values: readonly number[]): Buffer => Buffer.from(values);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const name = (common: string): Buffer => sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(common)))));
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const VALID = sequence(der(0x17, Buffer.from('200101000000Z')), der(0x17, Buffer.from('491231235959Z')));
const pem = (what: string, body: Buffer): string =>
  `-----BEGIN ${what}-----\n${body.toString('base64').replaceAll(/.{64}/g, '$&\n')}\n-----END ${what}-----\n`;

interface Authority {
  readonly name: string;
  readonly key: KeyObject;
  readonly cert: string;
}

let serial = 0;

function certificate(subject: string, key: KeyObject, extension: Buffer, issuer: string, by: KeyObject): string {
  serial += 1;
  const body = sequence(
    der(0xa0, der(0x02, bytes(2))),
    der(0x02, bytes(serial)),
    ECDSA_SHA256,
    name(issuer),
    VALID,
    name(subject),
    key.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extension)),
  );
  return pem('CERTIFICATE', sequence(body, ECDSA_SHA256, der(0x03, bytes(0), sign('sha256', body, by))));
}

export function authority(called: string): Authority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const isAuthority = sequence(oid('551d13'), der(0x01, bytes(0xff)), der(0x04, sequence(der(0x01, bytes(0xff)))));
  return { name: called, key: privateKey, cert: certificate(called, publicKey, isAuthority, called, privateKey) };
}

/** A service's certificate for a DNS name, and for 127.0.0.1 where it says so. */
export function issued(by: Authority, dnsName: string, local = true): LinkTls {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const names = [der(0x82, Buffer.from(dnsName)), ...(local ? [der(0x87, bytes(127, 0, 0, 1))] : [])];
  const extension = sequence(oid('551d11'), der(0x04, sequence(...names)));
  return {
    ca: by.cert,
    cert: certificate(dnsName, publicKey, extension, by.name, by.key),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
