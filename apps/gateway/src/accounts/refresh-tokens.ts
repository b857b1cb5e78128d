import { createHash, randomBytes } from 'node:crypto';

/** A secret that is handed out once; the directory knows its hash only. */
export interface NewSecret {
  readonly secret: string;
  readonly hash: string;
}

/** 256 random bits. */
export function randomSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** Plain SHA-256: what has 256 bits of entropy needs no slow hash, and is looked up by it. */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

export function newRefreshToken(): NewSecret {
  const secret = randomSecret();
  return { secret, hash: secretHash(secret) };
}
